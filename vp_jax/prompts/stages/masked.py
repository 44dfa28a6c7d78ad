"""A prompt with a mask of its own for every image."""

from __future__ import annotations

from typing import Annotated

import jax

from vp_jax.errors import UserError
from vp_jax.precision import wide
from vp_jax.prompts.arguments import AtLeast, AtMost, Pixels
from vp_jax.prompts.base import Params, Prompt
from vp_jax.prompts.networks.mask_network import init_mask, mask
from vp_jax.prompts.stage import Formula, stage


@stage
def masked(
    prompt: Prompt, *, layers: Annotated[int, AtLeast(2), AtMost(6)] = 5, patch: Pixels = 8
) -> Formula:
    """`x + m(x) * (y - x)` of an image x and its prompted image y, with a learned mask m.

    The mask is that of SMM (Cai et al., arXiv 2406.03150): a network of `layers` convolutions of 3
    x 3 with 8, 16, 32, 64, 128 channels, and at last as many as the image has; normalisation and
    ReLU behind all but the last; the largest of 2 x 2 is taken behind the first ones, so that one
    value stands for `patch` x `patch` pixels. `normalize | masked(full(init='zeros'))` is theirs.
    They have batch normalisation, whose statistics are a state of training and differ between
    training and use; here it is group normalisation, over 8 channels of one image, with as many
    parameters: 26,499 of 5 layers and 102,339 of 6, as they say.

    Its parameters are `inner`, those of `prompt`, and `mask`, a dict for every convolution. A
    prompt of zeros gives the mask no gradient at the first step, and gets one itself.

    Args:
      prompt: a stage, or a chain of several, which has parameters.
      layers: from 2 to 6; the authors take 5 for a ResNet and 6 for a ViT.
      patch: side of a square of one value, a power of two of at most 2 ** (layers - 1).

    >>> import jax
    >>> from vp_jax import prompts
    >>> smm = prompts.masked(prompts.full(init="zeros"))
    >>> params = smm.init(jax.random.key(0), (224, 224, 3))
    >>> prompts.count(params["mask"])
    26499
    """
    pools = patch.bit_length() - 1
    if patch != 2**pools or pools >= layers:
        raise UserError(f"patch must be a power of two up to {2 ** (layers - 1)}, got {patch}")

    def init_fn(rng: jax.Array, image_shape: tuple[int, int, int]) -> Params:
        one, two = jax.random.split(rng)
        drawn = init_mask(two, layers, image_shape[-1])
        return {"inner": prompt.init(one, image_shape), "mask": drawn}

    def apply_fn(params: Params, images: jax.Array, **given: jax.Array) -> jax.Array:
        x = wide(images)
        y = wide(prompt.act(params["inner"], images, **given))
        share = mask(params["mask"], x.reshape(-1, *x.shape[-3:]), pools).reshape(x.shape)
        return (x + share * (y - x)).astype(images.dtype)

    return Formula(apply_fn, init_fn)
