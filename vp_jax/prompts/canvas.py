"""Prompts as images: what a prompt adds to every pixel, whatever its own parameters are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from vp_jax.prompts.base import ApplyFn, Params, Prompt
from vp_jax.prompts.checks import check_image_shape
from vp_jax.prompts.overlay import add


class Canvas(NamedTuple):
    """How a prompt's parameters lie on an image.

    Attributes:
      draw: `draw(params) -> canvas`: parameters to float32, [H, W, C], 0 where there are none.
      read: `read(canvas) -> params`: the way back; what is drawn elsewhere is lost.
      mask: bool, [H, W, C], where a parameter lies.
    """

    draw: Callable[[Params], jax.Array]
    read: Callable[[jax.Array], Params]
    mask: jax.Array


def canvas(prompt: Prompt, image_shape: Sequence[int]) -> Canvas:
    """The canvas of a prompt that adds each of its parameters to one pixel value, always the same.

    Prompts of different sizes have canvases of one shape, so one program can hold many of them.

    Args:
      prompt: unbounded, and without randomness in `apply`, as `pad` and `fixed_patch` are.
      image_shape: (H, W, C).

    >>> import jax
    >>> from vp_jax import prompts
    >>> frame = prompts.pad(1)
    >>> params = frame.init(jax.random.key(0), (4, 4, 3))
    >>> on_image = canvas(frame, (4, 4, 3))
    >>> on_image.draw(params).shape, int(on_image.mask.sum())
    ((4, 4, 3), 36)
    """
    image_shape = check_image_shape(image_shape)
    like = jax.eval_shape(lambda: prompt.init(jax.random.key(0), image_shape))

    def draw(params: Params) -> jax.Array:
        return prompt.apply(params, jnp.zeros(image_shape, jnp.float32))

    def read(values: jax.Array) -> Params:
        # Drawing copies each parameter to a place of its own, so its transpose takes it back.
        (params,) = jax.linear_transpose(draw, like)(values)
        return params

    ones = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), like)
    return Canvas(draw, read, draw(ones) != 0)


def canvas_apply(mask: ArrayLike, *, bounded: bool) -> ApplyFn:
    """The `apply` of a prompt whose parameters are a canvas; the mask may be traced.

    Args:
      mask: bool, [H, W, C]; pixel values outside it are untouched and give no gradient.
      bounded: whether the covered pixel values are clipped to [0, 1].
    """

    def apply_fn(params: Params, images: ArrayLike, *, rng: jax.Array | None = None) -> jax.Array:
        del rng
        images = jnp.asarray(images)
        return jnp.where(mask, add(images, params, bounded=bounded), images)

    return apply_fn
