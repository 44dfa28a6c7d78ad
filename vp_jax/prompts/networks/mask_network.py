"""The network that makes a mask of an image, of SMM (Cai et al., arXiv 2406.03150)."""

from __future__ import annotations

import jax

from vp_jax.prompts.base import Params
from vp_jax.prompts.networks.convolutions import convolved, halved, normalized, repeated, uniform

WIDTHS = (8, 16, 32, 64, 128)
"""Channels between the convolutions."""


def init_mask(rng: jax.Array, layers: int, channels: int) -> Params:
    """Parameters of `layers` convolutions, from and to images of some channels."""
    sizes = (channels, *WIDTHS[: layers - 1], channels)
    drawn: list[Params] = []
    for key, before, after in zip(jax.random.split(rng, layers), sizes, sizes[1:], strict=False):
        shapes = {"kernel": (3, 3, before, after), "bias": (after,)}
        if len(drawn) < layers - 1:
            shapes |= {"scale": (after,), "shift": (after,)}
        drawn.append(uniform(key, shapes, 9 * before))
    return tuple(drawn)


def mask(params: Params, images: jax.Array, pools: int) -> jax.Array:
    """The mask of images `[N, H, W, C]`, of their shape, one value a square of 2 ** pools."""
    x = images
    for number, own in enumerate(params):
        x = convolved(x, own["kernel"]) + own["bias"]
        if "scale" in own:
            x = jax.nn.relu(normalized(x, own["scale"], own["shift"]))
        if number < pools:
            x = halved(x)
    return repeated(x, 2**pools, *images.shape[1:3])
