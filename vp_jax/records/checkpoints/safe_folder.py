"""A folder under a name that every library takes for that folder, whatever it is called.

Orbax and TensorStore take `[`, `\\`, `*` or `gs:` in a path for patterns and addresses, and know
only paths that are text in UTF-8. What is saved below others would never be found again.
"""

from __future__ import annotations

import os
import pathlib
import re

from vp_jax.errors import UserError

_PLAIN = re.compile(r"[A-Za-z0-9_.,=+@/-]{1,1000}")
_DESCRIPTORS = pathlib.Path("/proc/self/fd")


class SafeFolder:
    """A folder that exists, and `path`, by which libraries may be told of it until it is closed.

    A plain path is given as it is; another is held open and named by its descriptor.

    Raises:
      OSError: the folder cannot be opened.
      UserError: its name is not plain, and the system cannot name it otherwise.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder.resolve()
        self._descriptor: int | None = None
        self.path = self.folder
        if _PLAIN.fullmatch(str(self.folder)):
            return
        if not _DESCRIPTORS.is_dir():
            raise UserError(
                f"the path {str(self.folder)!r} has characters that checkpoints cannot be saved "
                "below on this system; give a --workdir of letters, digits and -_.,=+@ only"
            )
        self._descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        self.path = _DESCRIPTORS / str(self._descriptor)

    def named(self, text: str) -> str:
        """A text of a library, with the folder's own name in it."""
        return text.replace(str(self.path), str(self.folder))

    def close(self) -> None:
        """Gives the descriptor back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
