"""Adding a perturbation to a region of images."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def add(pixels: jax.Array, delta: jax.Array) -> jax.Array:
    """Returns `pixels + delta` in the pixels' dtype.

    The sum is formed in the wider of the two dtypes, and rounded once.

    Args:
      pixels: floating, [..., h, w, C].
      delta: float32, [h, w, C].
    """
    return (pixels + delta).astype(pixels.dtype)


def add_patch(images: jax.Array, patch: ArrayLike, top: ArrayLike, left: ArrayLike) -> jax.Array:
    """Adds a patch to images at one place; every other pixel stays as it is, bit for bit.

    Args:
      images: floating, [..., H, W, C].
      patch: float32, [h, w, C], with h <= H and w <= W.
      top: first row under the patch, from 0 to H - h; an int or an integer scalar array.
      left: first column under the patch, from 0 to W - w; likewise.

    Returns:
      Images of the same shape and dtype.
    """
    patch = jnp.asarray(patch)
    leading = images.shape[:-3]
    start = (0,) * len(leading) + (top, left, 0)
    covered = jax.lax.dynamic_slice(images, start, leading + patch.shape)
    return jax.lax.dynamic_update_slice(images, add(covered, patch), start)
