"""Keeps what a prompt changes in an image small: imperceptible prompts."""

from __future__ import annotations

import functools
from typing import Annotated

import jax
import jax.numpy as jnp

from vp_jax.precision import wide
from vp_jax.prompts.arguments import AtLeast, OneOf
from vp_jax.prompts.base import Params, Prompt
from vp_jax.prompts.stage import Formula, stage


@stage
def within(
    prompt: Prompt,
    epsilon: Annotated[float, AtLeast(0)],
    norm: Annotated[str, OneOf(["inf", "l2"])] = "inf",
) -> Formula:
    """The nearest image to the prompted one whose change lies in a ball around the image.

    Of an image x and its prompted image y it is, with e = epsilon / 255,

      - for `norm='inf'`: y, clipped to [x - e, x + e], every value by itself;
      - for `norm='l2'`: x + (y - x) min(1, e / ||y - x||), the norm being that of a whole image.

    Its parameters are those of `prompt`; with epsilon 0 images stay as they are, and where the ball
    holds the whole change it is `prompt` itself, both bit for bit. A clipped value has no gradient
    of its own, and what starts outside the ball would never come back: here it has that of a value
    that is not clipped, unless a step against it led further out. That is a projected gradient, as
    of Madry et al. (arXiv 1706.06083), with the projection in the forward pass. It stands before
    `normalize`, since epsilon is of pixel values; a `clip` within it keeps images images.

    Args:
      prompt: a stage, or a chain of several, which has parameters.
      epsilon: radius of the ball in grey levels, of which white has 255; at least 0.
      norm: `"inf"`, of the largest change of a value, or `"l2"`, the Euclidean one.

    >>> import jax
    >>> from vp_jax import prompts
    >>> small = prompts.within(prompts.full(init="uniform"), 8)
    >>> small
    within(full(init='uniform'), 8.0)
    >>> params = small.init(jax.random.key(0), (4, 4, 3))
    >>> change = small.apply(params, jax.numpy.zeros((4, 4, 3)))
    >>> round(255 * float(abs(change).max()), 3)
    8.0
    """
    radius = epsilon / 255

    def apply_fn(params: Params, images: jax.Array, **given: jax.Array) -> jax.Array:
        x = wide(images)
        y = wide(prompt.act(params, images, **given))
        near = _clipped(y, x, radius) if norm == "inf" else _scaled(y, x, radius)
        return near.astype(images.dtype)

    return Formula(apply_fn, prompt.init, takes_pixels=True)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _clipped(y: jax.Array, x: jax.Array, radius: float) -> jax.Array:
    return jnp.clip(y, x - radius, x + radius)


def _gradients(
    radius: float, change: jax.Array, gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Of y that part that leads into the ball, of x the rest."""
    outwards = (jnp.abs(change) > radius) & (jnp.sign(change) == -jnp.sign(gradient))
    of_y = jnp.where(outwards, 0.0, gradient)
    return of_y, gradient - of_y


_clipped.defvjp(lambda y, x, radius: (_clipped(y, x, radius), y - x), _gradients)


def _scaled(y: jax.Array, x: jax.Array, radius: float) -> jax.Array:
    squares = jnp.sum((y - x) ** 2, axis=(-3, -2, -1), keepdims=True)
    is_inside = squares <= radius**2
    share = radius / jnp.sqrt(jnp.where(is_inside, 1.0, squares))
    return jnp.where(is_inside, y, x + share * (y - x))
