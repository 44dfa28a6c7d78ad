"""Takes the detail away, everywhere or around what matters."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax.errors import UserError
from vp_jax.prompts.arguments import AtLeast, Offset, Pixels
from vp_jax.prompts.base import Params
from vp_jax.prompts.geometry.shapes import Shape, covered
from vp_jax.prompts.stage import Formula, stage


@stage
def blur(
    sigma: Annotated[float, AtLeast(0)],
    *,
    outside: Shape | None = None,
    size: Pixels | None = None,
    top: Offset = 0,
    left: Offset = 0,
    width: Pixels | None = None,
) -> Formula:
    """Weighs the pixels around each by a normal density; nothing is learned.

    Weights are divided by their sum over the image, so that a flat image stays flat. Blurred
    around a shape it is the prompt of Yang et al., "Fine-Grained Visual Prompting" (2306.04356),
    who take the shape from a segmentation; here it is a box or circle.

    Args:
      sigma: standard deviation in pixels; 0 leaves images as they are.
      outside: `"box"` or `"circle"`, whose inside is untouched, bit for bit; None blurs everything.
      size, top, left, width: of that shape, as for `overlay`.
    """
    if (outside is None) != (size is None):
        raise UserError("outside and size go together, as in blur(4, outside='box', size=100)")
    height = size or 0
    columns = height if width is None else width

    def apply(params: Params, images: jax.Array) -> jax.Array:
        rows_of, columns_of = (_weights(side, sigma) for side in images.shape[-3:-1])
        weights = (rows_of, images, columns_of)
        blurred = jnp.einsum("yh,...hwc,xw->...yxc", *weights, precision="highest")
        kept = covered(outside or "box", images.shape[-3:-1], top, left, height, columns)
        return jnp.where(kept[..., None], images, blurred.astype(images.dtype))

    return Formula(apply, least=(max(top + height, 1), max(left + columns, 1)))


def _weights(side: int, sigma: float) -> np.ndarray:
    apart = np.subtract.outer(np.arange(side), np.arange(side))
    weights = np.exp(-0.5 * (apart / max(sigma, 1e-6)) ** 2)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
