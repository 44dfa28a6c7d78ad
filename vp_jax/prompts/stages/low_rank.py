"""The low-rank prompt: a matrix of small rank for every channel."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vp_jax.prompts.arguments import Pixels
from vp_jax.prompts.base import Params
from vp_jax.prompts.geometry.overlay import add
from vp_jax.prompts.initializers import Scale
from vp_jax.prompts.stage import Formula, stage


@stage
def low_rank(rank: Pixels, *, scale: Scale = 0.01) -> Formula:
    """Adds `B A` to every channel, a matrix of rank `rank` at most: LoR-VP.

    Its parameters, float32, C * rank * (H + W) numbers in all:

      - `left`, B: [C, H, rank], which begins as zeros, so that images begin as they are
      - `right`, A: [C, rank, W], which begins normal with standard deviation `scale`

    With the full rank, min(H, W), it can be any image, as `full`. Jin et al., "LoR-VP: Low-Rank
    Visual Prompting for Efficient Vision Model Adaptation" (2502.00896), acts on pixels, with rank
    4 at 224 (5,376 numbers) and a linear head that learns along: `low_rank(4) | normalize`. The
    released script builds the prompt under another name of the option than it accepts, so that what
    it trains is the head alone.

    Args:
      rank: from 1 to min(H, W).
      scale: the standard deviation of A; at 0 neither A nor B would ever get a gradient.

    >>> import jax
    >>> from vp_jax import prompts
    >>> prompts.count(prompts.low_rank(4).init(jax.random.key(0), (224, 224, 3)))
    5376
    """

    def init_fn(rng: jax.Array, image_shape: tuple[int, int, int]) -> Params:
        height, width, channels = image_shape
        right = scale * jax.random.normal(rng, (channels, rank, width), jnp.float32)
        return {"left": jnp.zeros((channels, height, rank), jnp.float32), "right": right}

    def apply_fn(params: Params, images: jax.Array) -> jax.Array:
        left, right = params["left"], params["right"]
        return add(images, jnp.einsum("chr,crw->hwc", left, right, precision="highest"))

    return Formula(apply_fn, init_fn, least=(rank, rank))
