"""Changing a region of images: one patch, or the border."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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


def border_shapes(size: int, image_shape: tuple[int, int, int]) -> dict[str, tuple[int, ...]]:
    """The four parts of a border of `size` pixels, each a shape `[h, w, C]`."""
    height, width, channels = image_shape
    across, along = (size, width, channels), (height - 2 * size, size, channels)
    return {"top": across, "bottom": across, "left": along, "right": along}


def on_border(
    images: jax.Array,
    border: Mapping[str, jax.Array],
    change: Callable[[jax.Array, jax.Array], jax.Array],
) -> jax.Array:
    """Changes the border of images; every other pixel stays as it is, bit for bit.

    Args:
      images: floating, [..., H, W, C].
      border: its parts, of the shapes that `border_shapes` gives.
      change: `change(pixels, part)`, of a part of the images and what belongs there, such as `add`.
    """
    size = border["top"].shape[0]
    bottom, right = images.shape[-3] - size, images.shape[-2] - size
    middle = images[..., size:bottom, :, :]
    columns = [
        change(middle[..., :size, :], border["left"]),
        middle[..., size:right, :],
        change(middle[..., right:, :], border["right"]),
    ]
    rows = [
        change(images[..., :size, :, :], border["top"]),
        jnp.concatenate(columns, axis=-2),
        change(images[..., bottom:, :, :], border["bottom"]),
    ]
    return jnp.concatenate(rows, axis=-3)
