"""The negative of the image."""

from __future__ import annotations

from vp_jax.prompts.stage import Formula, stage


@stage
def invert() -> Formula:
    """`1 - x`, before `normalize`."""
    return Formula(lambda params, images: 1 - images, takes_pixels=True)
