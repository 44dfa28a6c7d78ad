"""Images seen through an affine map of the plane."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp

from vp_jax.precision import wide


def warp(images: jax.Array, linear: jax.Array, shift: jax.Array) -> jax.Array:
    """Moves the pixel at p, measured from the image's centre, to `linear @ p + shift`.

    Between pixels values are bilinear, and outside of the image they are 0, as with PyTorch's
    `grid_sample` of `align_corners=False` and zeros around. Computed in float32, of
    float64 in that; the identity
    leaves every pixel as it is, bit for bit.

    Args:
      images: floating, [..., H, W, C].
      linear: [2, 2], of (row, column); not singular.
      shift: [2], in pixels.

    Returns:
      Images of the same shape and dtype.
    """
    height, width = images.shape[-3:-1]
    # Pixels first, so that what is taken for one of them lies together, of all images.
    first = jnp.moveaxis(wide(images), (-3, -2), (0, 1))
    pixels = first.reshape(-1, *first.shape[2:])
    result = jnp.zeros((), jnp.float32)
    for (row, row_weight), (column, column_weight) in itertools.product(
        *_neighbours(height, width, linear, shift)
    ):
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        index = jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)
        weight = jnp.where(inside, row_weight * column_weight, 0.0)
        taken = jnp.take(pixels, index.ravel(), axis=0)
        result = result + jnp.expand_dims(weight.ravel(), range(1, taken.ndim)) * taken
    moved = jnp.moveaxis(result.reshape(first.shape), (0, 1), (-3, -2))
    return moved.astype(images.dtype)


_Neighbour = tuple[jax.Array, jax.Array]
"""Rows or columns of the image, int32 `[H, W]`, and their weights, float32 `[H, W]`."""


def _neighbours(
    height: int, width: int, linear: jax.Array, shift: jax.Array
) -> tuple[tuple[_Neighbour, _Neighbour], tuple[_Neighbour, _Neighbour]]:
    """For every pixel of the result the two rows and the two columns that it lies between."""
    middle = (height - 1) / 2, (width - 1) / 2
    down = jnp.arange(height, dtype=jnp.float32)[:, None] - middle[0] - shift[0]
    across = jnp.arange(width, dtype=jnp.float32)[None, :] - middle[1] - shift[1]
    (a, b), (c, d) = linear
    rows = (d * down - b * across) / (a * d - b * c) + middle[0]
    columns = (a * across - c * down) / (a * d - b * c) + middle[1]
    return _between(rows), _between(columns)


def _between(places: jax.Array) -> tuple[_Neighbour, _Neighbour]:
    below = jax.lax.stop_gradient(jnp.floor(places))
    index, share = below.astype(jnp.int32), places - below
    return (index, 1 - share), (index + 1, share)
