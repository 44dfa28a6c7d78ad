"""Several prompts of one kind, their parameters stacked along a first axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from vp_jax.prompts.base import InitFn, Params, Prompt

OF_IMAGES = ("label", "target", "features")
"""What a prompt is given for every image; all else is for all of them together."""


def init_several(prompt: Prompt, count: int) -> InitFn:
    """Draws the parameters of `count` prompts, each with a key of its own."""

    def init_fn(rng: jax.Array, image_shape: Sequence[int]) -> Params:
        return jax.vmap(lambda key: prompt.init(key, image_shape))(_keys(rng, count))

    return init_fn


def apply_each(
    prompt: Prompt, count: int, params: Params, images: jax.Array, given: Mapping[str, Any]
) -> jax.Array:
    """What each of `count` prompts makes of all images, `[count, ..., H, W, C]`."""
    rng = given.get("rng")
    keys = None if rng is None else _keys(rng, count)

    def one(own: Params, key: jax.Array | None) -> jax.Array:
        return prompt.act(own, images, **{**given, "rng": key})

    return jax.vmap(one)(params, keys)


def apply_chosen(
    prompt: Prompt, number: jax.Array, params: Params, images: jax.Array, given: Mapping[str, Any]
) -> jax.Array:
    """What the prompt of a number, int `[...]`, makes of each of some images `[..., H, W, C]`."""
    own = {name: x for name, x in given.items() if name in OF_IMAGES}
    shared = {name: x for name, x in given.items() if name not in OF_IMAGES}

    def one(number: jax.Array, image: jax.Array, own: Mapping[str, Any]) -> jax.Array:
        chosen = jax.tree.map(lambda x: jnp.asarray(x)[number], params)
        return prompt.act(chosen, image, **shared, **own)

    for _ in range(number.ndim):
        one = jax.vmap(one)
    return one(number, images, own)


def _keys(rng: jax.Array, count: int) -> jax.Array:
    return rng[None] if count == 1 else jax.random.split(rng, count)
