"""Compiled programs are kept on disk, so that a second start does not compile them again."""

from __future__ import annotations

import os
import pathlib

from vp_jax.host import user_cache

FOLDER = "JAX_COMPILATION_CACHE_DIR"
LEAST_SECONDS = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
NEVER = "1e9"


def keep_compiled_programs(folder: str | os.PathLike[str] | None) -> None:
    """Turns JAX's persistent compilation cache on, unless the user has said where it is.

    Call it before JAX is imported, which is when it reads its environment. With
    `JAX_ENABLE_COMPILATION_CACHE=false` nothing is kept. Where a folder, also the user's own,
    cannot be written, a warning says so, JAX only reads what is there, and nothing but time is
    lost.

    Args:
      folder: of the compiled programs; made where it is missing. None: there is none.
    """
    own = os.environ.get(FOLDER)
    chosen = own or folder
    if (own and "://" in own) or not chosen:
        return
    place = pathlib.Path(os.path.expanduser(chosen))
    if user_cache.is_usable(place):
        os.environ[FOLDER] = os.fspath(place)
        if not own:
            os.environ.setdefault(LEAST_SECONDS, "0")
    elif place.is_dir():
        os.environ |= {FOLDER: os.fspath(place), LEAST_SECONDS: NEVER}
    else:
        os.environ.pop(FOLDER, None)
