"""Random brightness, contrast, saturation and hue."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax.data.augment import colour
from vp_jax.errors import UserError

KINDS = ("brightness", "contrast", "saturation", "hue")


def make_jitter(
    strength: float | Sequence[float],
) -> Callable[[jax.Array, jax.Array], jax.Array] | None:
    """Returns a function that changes the colours of images at random, or None if it is off.

    As torchvision's ColorJitter: factors of brightness, contrast and saturation are uniform in
    `[max(0, 1 - s), 1 + s]`, hue turns by a uniform share of the colour circle in `[-s, s]`, and
    the four act in random order. Each image draws for itself.

    Args:
      strength: s of brightness, contrast, saturation and hue, or one number for the first three
        (hue then stays). At least 0, of hue at most 0.5.

    Returns:
      `jitter(rng, images) -> images`, floating `[B, S, S, 3]`, in [0, 1].

    Raises:
      UserError: not one or four numbers, or out of range.
    """
    strengths = _check(strength)
    active = [(kind, s) for kind, s in zip(KINDS, strengths, strict=True) if s > 0]
    if not active:
        return None
    bounds = [(-s, s) if kind == "hue" else (max(0.0, 1.0 - s), 1.0 + s) for kind, s in active]
    least, most = np.array(bounds, np.float32).T

    def jitter(rng: jax.Array, images: jax.Array) -> jax.Array:
        order_key, amount_key = jax.random.split(rng)
        shape = (len(images), len(active))
        order = jnp.argsort(jax.random.uniform(order_key, shape), axis=-1)
        amounts = jax.random.uniform(amount_key, shape, minval=least, maxval=most)
        amounts = jnp.take_along_axis(amounts, order, axis=-1)
        x = images.astype(jnp.float32)
        for turn in range(len(active)):
            x = _change(x, order[:, turn], amounts[:, turn], [kind for kind, _ in active])
        return x.astype(images.dtype)

    return jitter


def _change(
    images: jax.Array, which: jax.Array, amount: jax.Array, kinds: Sequence[str]
) -> jax.Array:
    """Changes each image by one of the kinds, `which` `[B]` of them."""
    chosen = {kind: (which == i)[:, None, None, None] for i, kind in enumerate(kinds)}
    poor = jnp.zeros_like(images)
    if "contrast" in kinds:
        poor = jnp.where(chosen["contrast"], colour.mean_grey(images), poor)
    if "saturation" in kinds:
        poor = jnp.where(chosen["saturation"], colour.to_grey(images), poor)
    changed = colour.enhance(images, poor, amount)
    if "hue" in kinds:
        changed = jnp.where(chosen["hue"], colour.shift_hue(images, amount), changed)
    return changed


def _check(strength: float | Sequence[float]) -> tuple[float, float, float, float]:
    values: Any = (strength,) * 3 + (0.0,) if isinstance(strength, numbers.Real) else strength
    try:
        brightness, contrast, saturation, hue = values
        good = all(
            isinstance(v, numbers.Real) and not isinstance(v, bool) and 0 <= float(v) < math.inf
            for v in values
        )
    except (TypeError, ValueError):
        good = False
    if not good or hue > 0.5:
        raise UserError(
            f"color_jitter is {strength!r}; it must be one number for brightness, contrast and "
            "saturation, or four with hue, as in (0.4, 0.4, 0.4, 0.1): at least 0, hue at most 0.5 "
            "(0.0 turns it off)"
        )
    return brightness, contrast, saturation, hue
