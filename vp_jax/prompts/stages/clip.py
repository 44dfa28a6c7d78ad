"""Keeps prompted images images."""

from __future__ import annotations

import jax.numpy as jnp

from vp_jax.prompts.stage import Formula, stage


@stage
def clip() -> Formula:
    """Clips to [0, 1], before `normalize`; what is clipped gets no gradient, 0 and 1 half of it."""
    return Formula(lambda params, images: jnp.clip(images, 0.0, 1.0), takes_pixels=True)
