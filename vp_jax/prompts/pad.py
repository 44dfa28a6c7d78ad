"""The padding prompt: a frame on the border of the image."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
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
from vp_jax.prompts.overlay import add


def pad(
    size: int,
    *,
    init: str = "normal",
    scale: float = 1.0,
    space: str = "normalized",
    bounded: bool = False,
) -> Prompt:
    """A frame of `size` pixels added on the border; the image stays underneath.

    Its parameters, float32, 2 * C * size * (H + W - 2 * size) numbers in all:

      - `top`, `bottom`: [size, W, C]
      - `left`, `right`: [H - 2 * size, size, C]

    The centre of the image is untouched, bit for bit. This is the best design of Bahng et al.,
    "Exploring Visual Prompts for Adapting Large-Scale Models" (2022), with `size=30` at 224.

    Args:
      size: width of the frame in pixels; at least 1, and 2 * size at most min(H, W).
      init: `"normal"` (unit normal), `"uniform"` (on [-1, 1)) or `"zeros"`.
      scale: what the drawn values are multiplied by, so that `"uniform"` is on [-scale, scale).
      space: what the images handed to `apply` are: `"normalized"` (after mean and standard
        deviation, as in the paper) or `"pixel"` (values in [0, 1]).
      bounded: whether prompted pixels are clipped to [0, 1], so that prompted images stay images;
        only in pixel space.

    Returns:
      The prompt. Its `apply` needs no `rng`.

    Raises:
      UserError: here for an impossible setting; in `init` and `apply` for images that are too
        small, not floating, or of another shape than the parameters.

    >>> import jax
    >>> from vp_jax import prompts
    >>> init, apply = prompts.pad(30)
    >>> params = init(jax.random.key(0), (224, 224, 3))
    >>> prompts.count(params)
    69840
    >>> apply(params, jax.numpy.zeros((8, 224, 224, 3))).shape
    (8, 224, 224, 3)
    """
    size = check_int("the size of a padding prompt", size, 1)
    check_space(space, bounded)
    draw = initializer(init, scale)
    name = f"pad(size={size})"

    def shapes(height: int, width: int, channels: int) -> dict[str, tuple[int, int, int]]:
        if 2 * size > min(height, width):
            raise UserError(
                f"{name} does not fit images of height {height} and width {width}: it takes"
                f" {2 * size} pixels in each direction; the largest size that fits is"
                f" {min(height, width) // 2}"
            )
        across = (size, width, channels)
        along = (height - 2 * size, size, channels)
        return {"top": across, "bottom": across, "left": along, "right": along}

    def init_fn(rng: jax.Array, image_shape: Sequence[int]) -> Params:
        return draw(rng, shapes(*check_image_shape(image_shape)))

    def apply_fn(params: Params, images: ArrayLike, *, rng: jax.Array | None = None) -> jax.Array:
        del rng
        images = check_images(images)
        height, width, channels = images.shape[-3:]
        check_params(name, params, shapes(height, width, channels), images.shape)

        def frame(pixels: jax.Array, side: str) -> jax.Array:
            return add(pixels, params[side], bounded=bounded)

        bottom, right = height - size, width - size
        middle = images[..., size:bottom, :, :]
        middle = jnp.concatenate(
            [
                frame(middle[..., :size, :], "left"),
                middle[..., size:right, :],
                frame(middle[..., right:, :], "right"),
            ],
            axis=-2,
        )
        return jnp.concatenate(
            [
                frame(images[..., :size, :, :], "top"),
                middle,
                frame(images[..., bottom:, :, :], "bottom"),
            ],
            axis=-3,
        )

    return Prompt(init_fn, apply_fn)
