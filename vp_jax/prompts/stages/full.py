"""The full prompt: a value for every pixel."""

from __future__ import annotations

import jax

from vp_jax.prompts.base import Params
from vp_jax.prompts.geometry.overlay import add
from vp_jax.prompts.initializers import Init, Scale, initializer
from vp_jax.prompts.stage import Formula, stage


@stage
def full(*, init: Init = "normal", scale: Scale = 1.0) -> Formula:
    """An image added to every image.

    Its parameters are `delta`, float32, [H, W, C].

    Args:
      init, scale: as for `pad`.

    >>> import jax
    >>> from vp_jax import prompts
    >>> prompts.count(prompts.full().init(jax.random.key(0), (224, 224, 3)))
    150528
    """
    draw = initializer(init, scale)

    def init_fn(rng: jax.Array, image_shape: tuple[int, int, int]) -> Params:
        return draw(rng, {"delta": image_shape})

    def apply_fn(params: Params, images: jax.Array) -> jax.Array:
        return add(images, params["delta"])

    return Formula(apply_fn, init_fn, additive=True)
