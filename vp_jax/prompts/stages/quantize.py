"""Rounds to what an image file can hold."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from vp_jax.precision import wide
from vp_jax.prompts.arguments import AtLeast
from vp_jax.prompts.base import Params
from vp_jax.prompts.stage import Formula, stage


@stage
def quantize(levels: Annotated[int, AtLeast(2)] = 256) -> Formula:
    """Clips to [0, 1] and rounds to the nearest of `levels` values, 0 and 1 among them.

    With 256 levels, what leaves it is what an image file of 8 bits holds. Gradients go through the
    rounding as if it were not there (straight-through, Bengio et al., 1308.3432); what is clipped
    gets none. It stands before `normalize`, after all that changes the image.

    Args:
      levels: at least 2.

    >>> from vp_jax import prompts
    >>> float(prompts.quantize(3).apply({}, [[[0.3]]])[0, 0, 0])
    0.5
    """

    def apply(params: Params, images: jax.Array) -> jax.Array:
        clipped = jnp.clip(wide(images), 0.0, 1.0)
        return (_rounded(clipped * (levels - 1)) / (levels - 1)).astype(images.dtype)

    return Formula(apply, takes_pixels=True)


@jax.custom_jvp
def _rounded(x: jax.Array) -> jax.Array:
    return jnp.round(x)


@_rounded.defjvp
def _straight_through(
    primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    return _rounded(*primals), tangents[0]
