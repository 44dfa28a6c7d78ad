"""A bounded frame that is put over the border of the image."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vp_jax.prompts.arguments import Pixels
from vp_jax.prompts.base import Params
from vp_jax.prompts.geometry.overlay import border_shapes, on_border
from vp_jax.prompts.initializers import Init, Scale, initializer
from vp_jax.prompts.stage import Formula, stage


@stage
def frame(size: Pixels, *, init: Init = "zeros", scale: Scale = 1.0) -> Formula:
    """A frame of `size` pixels in place of the border: `sigmoid(theta)`, so in [0, 1].

    The frame of ILM-VP (Chen et al., 2211.11635) and AutoVP (Tsao et al., 2310.08381) for vision
    models: `shrink(128) | frame(48) | normalize` at 224. Unlike what `pad` adds, it can be shown
    and saved as an image. Their code adds it to the zeros around the small image, which is the
    same; here what lies under it is always covered. It begins as grey, 0.5.

    Its parameters are named and shaped like those of `pad`; the centre of the image is untouched,
    bit for bit.

    Args:
      size: width of the frame in pixels; at least 1, and 2 * size at most min(H, W).
      init, scale: of theta, as for `pad`.

    >>> import jax
    >>> from vp_jax import prompts
    >>> init, apply = prompts.frame(1)
    >>> apply(init(jax.random.key(0), (3, 3, 1)), jax.numpy.ones((3, 3, 1)))[..., 0].tolist()
    [[0.5, 0.5, 0.5], [0.5, 1.0, 0.5], [0.5, 0.5, 0.5]]
    """
    draw = initializer(init, scale)

    def init_fn(rng: jax.Array, image_shape: tuple[int, int, int]) -> Params:
        return draw(rng, border_shapes(size, image_shape))

    def apply_fn(params: Params, images: jax.Array) -> jax.Array:
        return on_border(images, params, _replaced)

    return Formula(apply_fn, init_fn, least=(2 * size, 2 * size), takes_pixels=True)


def _replaced(pixels: jax.Array, theta: jax.Array) -> jax.Array:
    return jnp.broadcast_to(jax.nn.sigmoid(theta).astype(pixels.dtype), pixels.shape)
