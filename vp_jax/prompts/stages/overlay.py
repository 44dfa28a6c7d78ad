"""A shape drawn by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vp_jax.errors import UserError
from vp_jax.prompts.arguments import Offset, Pixels
from vp_jax.prompts.base import Params
from vp_jax.prompts.geometry.shapes import Shape, covered
from vp_jax.prompts.stage import Formula, stage


@stage
def overlay(
    size: Pixels,
    top: Offset = 0,
    left: Offset = 0,
    *,
    width: Pixels | None = None,
    shape: Shape = "circle",
    color: tuple[float, ...] = (1.0, 0.0, 0.0),
    thickness: Offset = 2,
) -> Formula:
    """The outline of a circle or box in one colour, to point at what is in it; nothing is learned.

    A red circle is that of Shtedritski et al., "What does CLIP know about a red circle?"
    (2304.06712). Every other pixel is untouched, bit for bit.

    Args:
      size: its height in pixels.
      top: its first row; `top + size` is at most H.
      left: its first column; `left + width` is at most W.
      width: its width in pixels; None for `size`. A circle of another width is an ellipse.
      shape: `"circle"` or `"box"`.
      color: a value for every channel, in [0, 1].
      thickness: of the line, in pixels, inward; 0 draws nothing.
    """
    columns = size if width is None else width
    if not all(0 <= value <= 1 for value in color):
        raise UserError(f"color must have values in [0, 1], got {color}")

    def apply(params: Params, images: jax.Array) -> jax.Array:
        if len(color) != images.shape[-1]:
            raise UserError(
                f"images of shape {images.shape} need one value of color for each channel, got"
                f" {len(color)}"
            )
        sides, inner = images.shape[-3:-1], (size - 2 * thickness, columns - 2 * thickness)
        line = covered(shape, sides, top, left, size, columns)
        line &= ~covered(shape, sides, top + thickness, left + thickness, *inner)
        return jnp.where(line[..., None], jnp.asarray(color, images.dtype), images)

    return Formula(apply, least=(top + size, left + columns), takes_pixels=True)
