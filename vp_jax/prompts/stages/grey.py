"""Takes the colour away."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax.errors import UserError
from vp_jax.prompts.base import Params
from vp_jax.prompts.stage import Formula, stage

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Of red, green and blue (ITU-R BT.601)."""


@stage
def grey() -> Formula:
    """The luma of ITU-R BT.601 in all three channels, as in PIL's mode L; before `normalize`."""

    def apply(params: Params, images: jax.Array) -> jax.Array:
        if images.shape[-1] != 3:
            raise UserError(f"grey needs images of red, green and blue, got shape {images.shape}")
        luma = (images * LUMA).sum(axis=-1, keepdims=True)
        return jnp.broadcast_to(luma.astype(images.dtype), images.shape)

    return Formula(apply, takes_pixels=True)
