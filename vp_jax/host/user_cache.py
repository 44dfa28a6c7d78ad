"""Where this package keeps what can be made again: decoded images and compiled programs."""

from __future__ import annotations

import os
import pathlib
import sys
import tempfile

from vp_jax.errors import UserError
from vp_jax.host import files

LEAST_FREE = 1 << 20
"""Bytes that can be written where there is a point in keeping anything."""

_warned: set[pathlib.Path] = set()


def folder() -> pathlib.Path:
    """`$VP_JAX_CACHE`, else `vp_jax` in the user's cache folder; it may not exist yet.

    Raises:
      UserError: the user has no home folder, and none is named.
    """
    named = os.environ.get("VP_JAX_CACHE")
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    place = named or f"{root}/vp_jax"
    try:
        return files.expanded(place)
    except UserError:
        raise UserError(
            f"the cache is to be in {place}, and this user has no home folder: set HOME, or name "
            "another folder with VP_JAX_CACHE=DIR"
        ) from None


def find(name: str) -> pathlib.Path | None:
    """A folder of the cache; None, with a warning, where the user has no home for it."""
    try:
        return folder() / name
    except UserError:
        warn(pathlib.Path("~/.cache/vp_jax"), "this user has no home folder")
        return None


def is_usable(place: pathlib.Path) -> bool:
    """Whether a folder is there, or could be made, and can be written; if not, it warns."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(LEAST_FREE))
    except OSError as error:
        warn(place, error.strerror or str(error))
        return False
    return True


def warn(place: pathlib.Path, why: str) -> None:
    """Says on stderr that nothing can be kept in a folder, once for all that is in one cache."""
    cache = place if place.name == "vp_jax" else place.parent
    if cache in _warned:
        return
    _warned.add(cache)
    print(
        f"warning: nothing can be kept in {place} ({why}), so a second start will take as long as "
        "this one; VP_JAX_CACHE=DIR names another folder",
        file=sys.stderr,
    )
