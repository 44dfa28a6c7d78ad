"""Pretrained models: `load(name)` gives a `Backbone`, parameters with pure functions on them."""

from __future__ import annotations

from vp_jax.backbones.base import Backbone
from vp_jax.backbones.clip.sizes import ClipSize
from vp_jax.backbones.custom import from_fn
from vp_jax.backbones.loading.load import (
    REMATS,
    SOURCES,
    from_params,
    init_params,
    is_clip,
    load,
    names,
    repository,
)

__all__ = [
    "REMATS",
    "SOURCES",
    "Backbone",
    "ClipSize",
    "from_fn",
    "from_params",
    "init_params",
    "is_clip",
    "load",
    "names",
    "repository",
]
