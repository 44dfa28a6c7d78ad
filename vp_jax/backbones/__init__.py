"""Pretrained models: `load(name)` gives a `Backbone`, parameters with pure functions on them."""

from __future__ import annotations

from vp_jax.backbones.base import Backbone
from vp_jax.backbones.clip_sizes import ClipSize
from vp_jax.backbones.loading import from_params, init_params, load, names

__all__ = ["Backbone", "ClipSize", "from_params", "init_params", "load", "names"]
