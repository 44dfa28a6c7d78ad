"""The padding prompt: a frame on the border of the image."""

from __future__ import annotations

import jax

from vp_jax.prompts.arguments import Pixels
from vp_jax.prompts.base import Params
from vp_jax.prompts.geometry.overlay import add, border_shapes, on_border
from vp_jax.prompts.initializers import Init, Scale, initializer
from vp_jax.prompts.stage import Formula, stage


@stage
def pad(size: Pixels, *, init: Init = "normal", scale: Scale = 1.0) -> Formula:
    """A frame of `size` pixels added on the border; the image stays underneath.

    Its parameters, float32, 2 * C * size * (H + W - 2 * size) numbers in all:

      - `top`, `bottom`: [size, W, C]
      - `left`, `right`: [H - 2 * size, size, C]

    The centre of the image is untouched, bit for bit. This is the best design of Bahng et al.,
    "Exploring Visual Prompts for Adapting Large-Scale Models" (2022): `normalize | pad(30)` at 224.

    Args:
      size: width of the frame in pixels; at least 1, and 2 * size at most min(H, W).
      init: `"normal"` (unit normal), `"uniform"` (on [-1, 1)) or `"zeros"`.
      scale: what the drawn values are multiplied by, so that `"uniform"` is on [-scale, scale).

    Raises:
      UserError: for an impossible argument; in `init` and `apply` for images that do not fit.

    >>> import jax
    >>> from vp_jax import prompts
    >>> init, apply = prompts.pad(30)
    >>> params = init(jax.random.key(0), (224, 224, 3))
    >>> prompts.count(params)
    69840
    >>> apply(params, jax.numpy.zeros((8, 224, 224, 3))).shape
    (8, 224, 224, 3)
    """
    draw = initializer(init, scale)

    def init_fn(rng: jax.Array, image_shape: tuple[int, int, int]) -> Params:
        return draw(rng, border_shapes(size, image_shape))

    def apply_fn(params: Params, images: jax.Array) -> jax.Array:
        return on_border(images, params, add)

    return Formula(apply_fn, init_fn, least=(2 * size, 2 * size), additive=True)
