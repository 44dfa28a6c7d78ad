"""The fixed patch prompt: a square at one place of the image."""

from __future__ import annotations

import jax

from vp_jax.prompts.arguments import Offset, Pixels
from vp_jax.prompts.base import Params
from vp_jax.prompts.geometry.overlay import add_patch
from vp_jax.prompts.initializers import Init, Scale, initializer
from vp_jax.prompts.stage import Formula, stage


@stage
def fixed_patch(
    size: Pixels,
    top: Offset = 0,
    left: Offset = 0,
    *,
    init: Init = "normal",
    scale: Scale = 1.0,
) -> Formula:
    """A square of `size` pixels added at one place, by default the top left corner.

    Its parameters are `patch`, float32, [size, size, C]; every pixel outside the square is
    untouched, bit for bit. With `size=1` this is the single pixel of Bahng et al. (2022).

    Args:
      size: side of the square in pixels, at least 1.
      top: first row under the square, at least 0; `top + size` is at most H.
      left: first column under the square, at least 0; `left + size` is at most W.
      init, scale: as for `pad`.

    Raises:
      UserError: for an impossible argument; in `init` and `apply` for images that do not fit.

    >>> import jax
    >>> from vp_jax import prompts
    >>> init, apply = prompts.fixed_patch(2, top=1, init="zeros")
    >>> init(jax.random.key(0), (8, 8, 3))["patch"].shape
    (2, 2, 3)
    """
    draw = initializer(init, scale)

    def init_fn(rng: jax.Array, image_shape: tuple[int, int, int]) -> Params:
        return draw(rng, {"patch": (size, size, image_shape[-1])})

    def apply_fn(params: Params, images: jax.Array) -> jax.Array:
        return add_patch(images, params["patch"], top, left)

    return Formula(apply_fn, init_fn, least=(top + size, left + size), additive=True)
