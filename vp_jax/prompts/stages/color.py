"""A factor for every pixel value."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from vp_jax.prompts.base import Params
from vp_jax.prompts.stage import Formula, stage

_MOST = 6.0


@stage
def color() -> Formula:
    """Multiplies every pixel value by a factor of its own between 0 and 6, which begins as 1.

    The factor is `6 sigmoid(m - log 5)`; its parameters are m, `log_odds`, float32, [H, W, C],
    zeros at first. The colour prompt of ACAVP (Enomoto, 2510.07823), which acts on pixels, between
    `affine` and the border, and stores m - log 5.

    >>> import jax
    >>> from vp_jax import prompts
    >>> init, apply = prompts.color()
    >>> params = init(jax.random.key(0), (2, 2, 3))
    >>> float(apply(params, jax.numpy.full((2, 2, 3), 0.5)).max())
    0.5
    """

    def init_fn(rng: jax.Array, image_shape: tuple[int, int, int]) -> Params:
        return {"log_odds": jnp.zeros(image_shape, jnp.float32)}

    def apply_fn(params: Params, images: jax.Array) -> jax.Array:
        factor = _MOST * jax.nn.sigmoid(params["log_odds"] - math.log(_MOST - 1))
        return (images * factor).astype(images.dtype)

    return Formula(apply_fn, init_fn)
