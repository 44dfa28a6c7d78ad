"""Where builders find the files that a person has fetched."""

from __future__ import annotations

import pathlib
from typing import Any

from vp_jax.errors import UserError


def manual_folder(dl_manager: Any, instructions: str) -> pathlib.Path:
    """Where a person puts files for a builder.

    Args:
      dl_manager: tfds's download manager.
      instructions: the sentence that says which file to put there.

    Raises:
      UserError: there is no such folder, or it is empty.
    """
    try:
        return pathlib.Path(dl_manager.manual_dir)
    except AssertionError as e:
        raise missing(str(e).partition(". ")[0], instructions) from e


def missing(what: str, instructions: str) -> UserError:
    """The error for files that are not there; its first line is enough where others instruct."""
    return UserError(f"{what}\n{instructions}")
