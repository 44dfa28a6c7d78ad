"""Paths as users give them, and files that are there whole or not at all."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from typing import BinaryIO

from vp_jax.errors import UserError


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
    """Lets `fill` write a file beside `path` and moves it there when it is complete.

    Args:
      path: of the file; its folder is made where it is missing.
      fill: writes the content to the binary file that it is called with.

    Raises:
      OSError: the file cannot be written; one that was there before is untouched.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            fill(file)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
