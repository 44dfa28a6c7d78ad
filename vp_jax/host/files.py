"""Paths as users give them, and files that are there whole or not at all, after a power cut too."""

from __future__ import annotations

import errno
import os
import pathlib
from collections.abc import Callable
from typing import IO, Any, BinaryIO

from vp_jax.errors import UserError

NOT_THE_PROGRAM = frozenset(
    (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE)
    + (errno.ENOMEM, errno.ETIMEDOUT, errno.ENAMETOOLONG, errno.ENOTCONN, errno.EHOSTDOWN)
)
"""Numbers of errors that a disk, its permissions or the system's limits are the reason of."""

PARTIAL = ".partial"
"""How the names of files end that are not complete yet."""


def expanded(path: str | os.PathLike[str]) -> pathlib.Path:
    """A path that a user gave, with `~` and `~NAME` at its start replaced as a shell does it.

    Raises:
      UserError: it begins with `~`, and the user has no home folder.
    """
    path = pathlib.Path(path)
    try:
        return path.expanduser()
    except RuntimeError:
        if path.parts[0] != "~":  # No user of that name: a file may be called so.
            return path
        raise UserError(
            f"{path} is below a home folder, and this user has none: set HOME, or give the whole "
            "path"
        ) from None


def write(path: str | os.PathLike[str], fill: Callable[[BinaryIO], object]) -> None:
    """Lets `fill` write a file beside `path` and moves it there when it is complete and on disk.

    Args:
      path: of the file; its folder is made where it is missing.
      fill: writes the content to the binary file that it is called with.

    Raises:
      OSError: the file cannot be written; one that was there before is untouched.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            fill(file)
            sync(file)
        partial.replace(path)
        sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def sync(file: IO[Any]) -> None:
    """Returns when what was written to a file is on disk.

    Raises:
      OSError: it cannot be written.
    """
    file.flush()
    _fsync(file.fileno())


def sync_folder(folder: pathlib.Path) -> None:
    """Returns when the names of the files in a folder are on disk.

    Raises:
      OSError: they cannot be written.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: pathlib.Path) -> None:
    """Returns when a folder is on disk with all that is in it.

    Raises:
      OSError: it cannot be read or written.
    """
    for place, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(place, name), "rb") as file:
                _fsync(file.fileno())
        sync_folder(pathlib.Path(place))
    sync_folder(folder.parent)


def _fsync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise  # Those are of disks that cannot do it, such as some mounted clouds.


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or what caused it, says that no space is left."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "No space left on device" in str(seen) or "Disk quota exceeded" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
