"""Where the image lies: its size, angle, shear and place."""

from __future__ import annotations

import math
from typing import Annotated

import jax
import jax.numpy as jnp

from vp_jax.errors import UserError
from vp_jax.prompts.arguments import Initial
from vp_jax.prompts.base import Params
from vp_jax.prompts.geometry.warp import warp
from vp_jax.prompts.stage import Formula, stage


@stage
def affine(*, scale: Annotated[float, Initial] = 164 / 224) -> Formula:
    """Moves the image by `R(angle) diag(scales) [[1, shear], [shear', 1]]` and a shift.

    Its parameters, float32, are unbounded, and what they stand for is not:

      - `scale`, [2], of rows and columns: sigmoid(scale), so between 0 and 1
      - `angle`, []: 0.1 tanh(angle) radians
      - `shear`, [2]: 0.1 tanh(shear)
      - `shift`, [2]: 0.05 tanh(shift) of the image's height and width

    Values between pixels are bilinear, those around the image are 0, and all is computed in
    float32. With scales of 1 and zeros elsewhere images stay as they are, bit for bit.

    The affine part of ACAVP, Enomoto, "Enhancing Visual Prompting through Expanded Transformation
    Space and Overfitting Mitigation" (2510.07823), which acts on pixels. Here it moves the image
    about its centre; the released code does so about the top left corner, so that the border begins
    on two sides alone.

    Args:
      scale: of both sides at first, between 0 and 1, neither included; EVP's size by default.

    >>> import jax
    >>> from vp_jax import prompts
    >>> init, apply = prompts.affine(scale=0.5)
    >>> params = init(jax.random.key(0), (4, 4, 1))
    >>> apply(params, jax.numpy.ones((4, 4, 1)))[..., 0].tolist()[:2]
    [[0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]]
    """
    if not 0 < scale < 1:
        raise UserError(f"scale must lie between 0 and 1, neither included, got {scale}")

    def init_fn(rng: jax.Array, image_shape: tuple[int, int, int]) -> Params:
        two = jnp.zeros(2, jnp.float32)
        sides = jnp.full(2, math.log(scale / (1 - scale)), jnp.float32)
        return {"scale": sides, "angle": jnp.float32(0), "shear": two, "shift": two}

    def apply_fn(params: Params, images: jax.Array) -> jax.Array:
        angle, shear = 0.1 * jnp.tanh(params["angle"]), 0.1 * jnp.tanh(params["shear"])
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        turn = jnp.stack([jnp.stack([cos, -sin]), jnp.stack([sin, cos])])
        lean = jnp.eye(2) + jnp.diag(shear)[:, ::-1]
        scales = jax.nn.sigmoid(params["scale"])
        linear = jnp.matmul(turn * scales, lean, precision="highest")
        sides = jnp.asarray(images.shape[-3:-1], jnp.float32)
        return warp(images, linear, 0.05 * jnp.tanh(params["shift"]) * sides)

    return Formula(apply_fn, init_fn)
