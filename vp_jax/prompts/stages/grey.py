"""Takes the colour away."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vp_jax.errors import UserError
from vp_jax.prompts.base import Params
from vp_jax.prompts.stage import Formula, stage

_LUMA = (0.299, 0.587, 0.114)


@stage
def grey() -> Formula:
    """The luma of ITU-R BT.601 in all three channels, as in PIL's mode L; before `normalize`."""

    def apply(params: Params, images: jax.Array) -> jax.Array:
        if images.shape[-1] != 3:
            raise UserError(f"grey needs images of red, green and blue, got shape {images.shape}")
        luma = (images * jnp.asarray(_LUMA, jnp.float32)).sum(axis=-1, keepdims=True)
        return jnp.broadcast_to(luma.astype(images.dtype), images.shape)

    return Formula(apply, takes_pixels=True)
