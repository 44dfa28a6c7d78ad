"""One small filter for all channels."""

from __future__ import annotations

import itertools
from typing import Annotated

import jax
import jax.numpy as jnp

from vp_jax.errors import UserError
from vp_jax.prompts.arguments import Initial, Pixels
from vp_jax.prompts.base import Params
from vp_jax.prompts.stage import Formula, stage

Start = Annotated[float, Initial]


@stage
def conv(side: Pixels, *, center: Start = 5.0, mix: Start = 0.5) -> Formula:
    """`mix x + (1 - mix) (k / sum(k)) * x`: the image and its convolution with one kernel.

    Its parameters are `kernel`, float32, [side, side], which all channels share, and `mix`, []. The
    side // 2 pixels on each border are left as they are. It is the identity, bit for bit, where
    only the middle of the kernel is not zero, or `mix` is 1; a mix above 1 sharpens.

    The convolutional visual prompt of Tsai et al. (2303.00198), who clip the convolution, and with
    a mix above 1 what comes of it, and adapt it without labels to every batch of a test: `conv(3) |
    clip | normalize`, and `conv(5, center=15.0)`. Here it is a stage that learns like any other.

    Args:
      side: side of the kernel in pixels; odd, and at most min(H, W).
      center: the middle of the kernel at first, around which all is 1; over -(side^2 - 1), since
        the kernel is divided by its sum.
      mix: at first.
    """
    if side % 2 == 0:
        raise UserError(f"the side of a kernel must be odd, got {side}: take {side + 1}")
    if center <= 1 - side**2:
        raise UserError(f"center must be over {1 - side**2}, so that the sum is positive")

    def init_fn(rng: jax.Array, image_shape: tuple[int, int, int]) -> Params:
        kernel = jnp.ones((side, side), jnp.float32).at[side // 2, side // 2].set(center)
        return {"kernel": kernel, "mix": jnp.float32(mix)}

    def apply_fn(params: Params, images: jax.Array) -> jax.Array:
        kernel = params["kernel"] / params["kernel"].sum()
        (height, width, _), edge = images.shape[-3:], side // 2
        moved = sum(
            kernel[i, j] * images[..., i : height - side + 1 + i, j : width - side + 1 + j, :]
            for i, j in itertools.product(range(side), repeat=2)
        )
        middle = images[..., edge : height - edge, edge : width - edge, :]
        change = (1 - params["mix"]) * (moved - middle)
        around = [(0, 0)] * (images.ndim - 3) + [(edge, edge), (edge, edge), (0, 0)]
        return (images + jnp.pad(change, around)).astype(images.dtype)

    return Formula(apply_fn, init_fn, least=(side, side), mixes=True)
