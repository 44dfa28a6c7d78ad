"""Adding a perturbation to a region of images."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def add(pixels: jax.Array, delta: jax.Array, *, bounded: bool) -> jax.Array:
    """Returns `pixels + delta` in the pixels' dtype, clipped to [0, 1] when bounded.

    The sum is formed in the wider of the two dtypes, and rounded once.

    Args:
      pixels: floating, [..., h, w, C].
      delta: float32, [h, w, C].
      bounded: whether the result is clipped to [0, 1].
    """
    total = pixels + delta
    if bounded:
        total = jnp.clip(total, 0.0, 1.0)
    return total.astype(pixels.dtype)


def add_patch(
    images: jax.Array, patch: ArrayLike, top: ArrayLike, left: ArrayLike, *, bounded: bool
) -> jax.Array:
    """Adds a patch to images at one place; every other pixel stays as it is, bit for bit.

    Args:
      images: floating, [..., H, W, C].
      patch: float32, [h, w, C], with h <= H and w <= W.
      top: first row under the patch, from 0 to H - h; an int or an integer scalar array.
      left: first column under the patch, from 0 to W - w; likewise.
      bounded: whether the covered pixels are clipped to [0, 1].

    Returns:
      Images of the same shape and dtype.
    """
    patch = jnp.asarray(patch)
    leading = images.shape[:-3]
    start = (0,) * len(leading) + (top, left, 0)
    covered = jax.lax.dynamic_slice(images, start, leading + patch.shape)
    return jax.lax.dynamic_update_slice(images, add(covered, patch, bounded=bounded), start)
