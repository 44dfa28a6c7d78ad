"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from typing import BinaryIO


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
