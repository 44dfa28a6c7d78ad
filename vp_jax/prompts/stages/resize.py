"""The image at a size that is learned."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from vp_jax.errors import UserError
from vp_jax.prompts.arguments import Initial
from vp_jax.prompts.base import Params
from vp_jax.prompts.stage import Formula, stage

_LEAST, _MOST = 0.1, 5.0


@stage
def resize(*, scale: Annotated[float, Initial] = 128 / 224) -> Formula:
    """The image, `scale` times as large, about the centre of a canvas of zeros of its own size.

    Its parameter is `scale`, float32, [], clipped to [0.1, 5] when it is used; outside it gets no
    gradient. Values between pixels are bilinear, without a wider filter for smaller images, and
    with a scale of 1 images stay as they are, bit for bit.

    The trainable resize of AutoVP (Tsao et al., 2310.08381), whose images have 128 of 224 pixels at
    first and whose scale is relative to that: theirs is 7 / 4 of this one, and so are its bounds.
    With a CLIP its released code clips gradients at 0.001 while they are still multiplied by the
    loss scale of mixed precision, so that there the scale barely moves.

    Args:
      scale: at first, from 0.1 to 5.

    >>> import jax
    >>> from vp_jax import prompts
    >>> init, apply = prompts.resize(scale=0.5)
    >>> params = init(jax.random.key(0), (4, 4, 1))
    >>> apply(params, jax.numpy.ones((4, 4, 1)))[..., 0].tolist()[:2]
    [[0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]]
    """
    if not _LEAST <= scale <= _MOST:
        raise UserError(f"scale must lie between {_LEAST} and {_MOST}, got {scale}")

    def init_fn(rng: jax.Array, image_shape: tuple[int, int, int]) -> Params:
        return {"scale": jnp.float32(scale)}

    def apply_fn(params: Params, images: jax.Array) -> jax.Array:
        factor = jnp.clip(params["scale"], _LEAST, _MOST)
        rows, columns = (_bilinear(side, factor) for side in images.shape[-3:-1])
        moved = jnp.einsum("yh,...hwc,xw->...yxc", rows, images, columns, precision="highest")
        return moved.astype(images.dtype)

    return Formula(apply_fn, init_fn)


def _bilinear(side: int, factor: jax.Array) -> jax.Array:
    """The weights of pixels of the image in those of the result, [side, side]."""
    places, middle = jnp.arange(side, dtype=jnp.float32), (side - 1) / 2
    seen = (places - middle) / factor + middle
    return jnp.maximum(1 - jnp.abs(seen[:, None] - places), 0)
