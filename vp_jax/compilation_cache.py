"""Compiled programs are kept on disk, so that a second start does not compile them again."""

from __future__ import annotations

import os
import pathlib

FOLDER = "JAX_COMPILATION_CACHE_DIR"
LEAST_SECONDS = ("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def keep_compiled_programs(folder: str | os.PathLike[str]) -> None:
    """Turns JAX's persistent compilation cache on, unless the user has said where it is.

    Call it before JAX is imported, which is when it reads its environment. With
    `JAX_ENABLE_COMPILATION_CACHE=false` nothing is kept.

    Args:
      folder: of the compiled programs; made where it is missing. If that is impossible, nothing
        but time is lost.
    """
    if os.environ.get(FOLDER):
        return
    try:
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    os.environ[FOLDER] = os.fspath(folder)
    os.environ.setdefault(*LEAST_SECONDS)
