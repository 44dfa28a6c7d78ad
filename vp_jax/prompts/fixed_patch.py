"""The fixed patch prompt: a square at one place of the image."""

from __future__ import annotations

from collections.abc import Sequence

import jax
from jax.typing import ArrayLike

from vp_jax.errors import UserError
from vp_jax.prompts.base import Params, Prompt
from vp_jax.prompts.checks import (
    check_image_shape,
    check_images,
    check_int,
    check_params,
    check_space,
)
from vp_jax.prompts.initializers import initializer
from vp_jax.prompts.overlay import add_patch


def fixed_patch(
    size: int,
    top: int = 0,
    left: int = 0,
    *,
    init: str = "normal",
    scale: float = 1.0,
    space: str = "normalized",
    bounded: bool = False,
) -> Prompt:
    """A square of `size` pixels added at one place, by default the top left corner.

    Its parameters are `patch`, float32, [size, size, C]; every pixel outside the square is
    untouched, bit for bit. With `size=1` this is the single pixel of Bahng et al. (2022).

    Args:
      size: side of the square in pixels, at least 1.
      top: first row under the square, at least 0; `top + size` is at most H.
      left: first column under the square, at least 0; `left + size` is at most W.
      init: `"normal"` (unit normal), `"uniform"` (on [-1, 1)) or `"zeros"`.
      scale: what the drawn values are multiplied by, so that `"uniform"` is on [-scale, scale).
      space: what the images handed to `apply` are: `"normalized"` or `"pixel"`; see `pad`.
      bounded: whether prompted pixels are clipped to [0, 1]; only in pixel space.

    Returns:
      The prompt. Its `apply` needs no `rng`.

    Raises:
      UserError: here for an impossible setting; in `init` and `apply` for images that are too
        small, not floating, or of another shape than the parameters.

    >>> import jax
    >>> from vp_jax import prompts
    >>> init, apply = prompts.fixed_patch(2, top=1, init="zeros")
    >>> init(jax.random.key(0), (8, 8, 3))["patch"].shape
    (2, 2, 3)
    """
    size = check_int("the size of a patch", size, 1)
    top = check_int("the top of a patch", top, 0)
    left = check_int("the left of a patch", left, 0)
    check_space(space, bounded)
    draw = initializer(init, scale)
    name = f"fixed_patch(size={size}, top={top}, left={left})"

    def shapes(height: int, width: int, channels: int) -> dict[str, tuple[int, int, int]]:
        if top + size > height or left + size > width:
            raise UserError(
                f"{name} does not fit images of height {height} and width {width}: top + size is"
                f" {top + size} and left + size is {left + size}; make size, top or left smaller"
            )
        return {"patch": (size, size, channels)}

    def init_fn(rng: jax.Array, image_shape: Sequence[int]) -> Params:
        return draw(rng, shapes(*check_image_shape(image_shape)))

    def apply_fn(params: Params, images: ArrayLike, *, rng: jax.Array | None = None) -> jax.Array:
        del rng
        images = check_images(images)
        check_params(name, params, shapes(*images.shape[-3:]), images.shape)
        return add_patch(images, params["patch"], top, left, bounded=bounded)

    return Prompt(init_fn, apply_fn)
