"""A prompt that follows from what the frozen backbone makes of an image."""

from __future__ import annotations

from typing import Annotated

import jax

from vp_jax.errors import UserError
from vp_jax.precision import wide
from vp_jax.prompts.arguments import AtLeast, Copies, Pixels
from vp_jax.prompts.base import Params
from vp_jax.prompts.geometry.overlay import add
from vp_jax.prompts.initializers import Init, Scale, initializer
from vp_jax.prompts.networks.coordinator import canvas_of, grid, init_blocks
from vp_jax.prompts.stage import Formula, stage


@stage
def generator(
    inputs: Pixels,
    epsilon: Annotated[float, AtLeast(0)] = 1.0,
    *,
    channels: Copies = 32,
    init: Init = "zeros",
    scale: Scale = 1.0,
) -> Formula:
    """`x + epsilon * g(features, t)`: the coordinator of BlackVIP (Oh et al., arXiv 2303.14773).

    The features of the image are joined with a learned vector t, uniform on [0, 0.1), to 7 x 7 x
    `channels` values at 224, of which g makes the canvas by five doublings: four of a 2 x 2
    transposed convolution by groups, a 1 x 1 convolution, normalisation and GELU, to 64, 32, 32, 16
    channels, and one of a transposed convolution without a bias, `last`, which alone begins as
    `init` says: zeros leave images as they are. An image of another size has as many doublings, of
    1 to 5 the last ones, as leave 7 pixels at least, and what is too much is cut off.

    The authors' features are of a second network, a masked autoencoder; here they are the frozen
    backbone's own, and normalisation is by groups of 8 channels, not over the batch. They clip the
    result to pixel values: write `generator(...) | clip | normalize` for that. At 224 with 768
    features it has their 9,920 parameters: `vector`, `blocks` and `last`.

    Args:
      inputs: length of the backbone's features, below the number of values that they are joined to.
      epsilon: what the canvas is multiplied by, at least 0.
      channels: of the first canvas, at most 1000.
      init, scale: of `last`, as for `pad`.

    Raises:
      UserError: for an impossible argument; in `init` for too many features, in `apply` for others.

    >>> import jax
    >>> from vp_jax import prompts
    >>> prompts.count(prompts.generator(768).init(jax.random.key(0), (224, 224, 3)))
    9920
    """
    draw = initializer(init, scale)

    def init_fn(rng: jax.Array, image_shape: tuple[int, int, int]) -> Params:
        doublings, rows, columns = grid(*image_shape[:2])
        free = channels * rows * columns - inputs
        if free < 1:
            least = inputs // (rows * columns) + 1
            raise UserError(f"generator: {inputs} features need channels={least}, or more")
        one, two, three = jax.random.split(rng, 3)
        blocks, before = init_blocks(two, channels, doublings)
        last = draw(three, {"last": (2, 2, before, image_shape[-1])})
        return {"vector": jax.random.uniform(one, (free,), maxval=0.1), "blocks": blocks, **last}

    def apply_fn(params: Params, images: jax.Array, *, features: jax.Array) -> jax.Array:
        if features.shape[-1] != inputs:
            length = features.shape[-1]
            raise UserError(f"generator({inputs}) is given {length} features: write {length}")
        flat = wide(features.reshape(-1, inputs))
        drawn = canvas_of(params, flat, *images.shape[-3:-1])
        return add(images, epsilon * drawn.reshape(*features.shape[:-1], *images.shape[-3:]))

    return Formula(apply_fn, init_fn)
