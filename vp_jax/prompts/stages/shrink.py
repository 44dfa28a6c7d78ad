"""Makes room around the image."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax import resampling
from vp_jax.prompts.arguments import Pixels
from vp_jax.prompts.base import Params
from vp_jax.prompts.stage import Formula, stage


@stage
def shrink(size: Pixels) -> Formula:
    """The image in the middle of zeros: resampled so that its short side has `size` pixels.

    In a run, a first `shrink` is done by the resize of the stored images, so that they are
    resampled once and rounded to grey levels; this is what it does anywhere else. It is EVP's
    geometry (Wu et al., 2212.10556): `shrink(164) | pad(30, init='zeros') | normalize` at 224.

    Args:
      size: the short side of the image afterwards, from 1 to min(H, W).

    Returns:
      The stage. Its `apply` takes the backbone's `resize_method`, `"bicubic"` or `"bilinear"`,
      both antialiased, bicubic by default.

    >>> import jax
    >>> from vp_jax import prompts
    >>> small = prompts.shrink(2).apply({}, jax.numpy.ones((4, 4, 1)))
    >>> small[..., 0].round(4).tolist()
    [[0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """

    def apply(params: Params, images: jax.Array, *, resize_method: str = "bicubic") -> jax.Array:
        height, width = images.shape[-3:-1]
        rows, columns = (
            _matrix(side, round(side * size / min(height, width)), resize_method)
            for side in (height, width)
        )
        shrunk = jnp.einsum("yh,...hwc,xw->...yxc", rows, images, columns, precision="highest")
        return centred(shrunk.astype(images.dtype), height, width)

    return Formula(apply, least=(size, size))


def centred(images: jax.Array, height: int, width: int) -> jax.Array:
    """Images [..., h, w, C] in the middle of zeros, [..., height, width, C]."""
    for axis, side in ((-3, height), (-2, width)):
        free, shape = side - images.shape[axis], list(images.shape)
        sides = []
        for count in (free // 2, (free + 1) // 2):
            shape[axis] = count
            sides.append(jnp.zeros(shape, images.dtype))
        images = jnp.concatenate([sides[0], images, sides[1]], axis)
    return images


def _matrix(before: int, after: int, method: str) -> np.ndarray:
    weights = resampling.weights(before, after, np.arange(after), np.arange(before), method)
    return weights.astype(np.float32)
