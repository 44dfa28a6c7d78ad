"""Where this package keeps what can be made again: decoded images and compiled programs."""

from __future__ import annotations

import os
import pathlib


def folder() -> pathlib.Path:
    """`$VP_JAX_CACHE`, else `vp_jax` in the user's cache folder; it may not exist yet."""
    named = os.environ.get("VP_JAX_CACHE")
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(named or f"{root}/vp_jax").expanduser()
