"""Resize and centre crop images, pixel for pixel as PIL and torchvision do.

PIL resizes in two passes, columns before rows[1], and rounds to whole grey levels after each. Each
pass is linear, so it is a matrix product; the crop keeps only the rows of the matrices that are
seen. Where an image is made smaller the filter is widened by the same factor (antialiasing), as in
`jax.image.resize`, which does not round, though, and is off by more than a grey level in places.

PIL computes in 32-bit fixed point. Exact ties of rounding are common (every scale is a ratio of
small numbers), and float32 sums would decide some of them otherwise; `_resize_rows` says how the
same integers come out of float32 matrix products.

[1] As PIL does up to release 12. PIL 13 turns the passes round for images more than twice as tall
as wide that shrink; where sharp edges overshoot and are clipped between the passes, its pixels then
differ by many grey levels. Columns always come first here.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from vp_jax.data.images.host_preprocess import preprocess_one
from vp_jax.data.images.resize_rule import ResizeRule, check_images, resize_matrices
from vp_jax.errors import UserError

__all__ = [
    "ResizeRule",
    "preprocess",
    "preprocess_one",
    "resize_and_crop",
    "resize_matrices",
]

_COARSE = 2.0**11
"""The coarse part of a weight is a multiple of 1 / _COARSE; see `_resize_rows`."""


@jax.jit
def resize_and_crop(images: ArrayLike, rows: ArrayLike, columns: ArrayLike) -> jax.Array:
    """Resizes and crops images with the matrices of `resize_matrices`.

    The matrices are arguments, so images of several sizes can share one compilation: pad the
    images and the matrices' second dimensions with zeros to one shape.

    Args:
      images: uint8, [B, h, w, 3].
      rows: float32, [S, h].
      columns: float32, [S, w].

    Returns:
      uint8, [B, S, S, 3]: PIL's result, pixel for pixel (see `_resize_rows`).

    Raises:
      UserError: for images of another dtype or shape, or matrices that do not fit them.
    """
    x, by_row, by_column = jnp.asarray(images), jnp.asarray(rows), jnp.asarray(columns)
    check_images(x, ("B", "h", "w", 3))
    if (by_row.shape[-1:], by_column.shape[-1:]) != (x.shape[1:2], x.shape[2:3]):
        raise UserError(
            f"matrices of shapes {by_row.shape} and {by_column.shape} do not fit images of shape"
            f" {x.shape}: take resize_matrices({x.shape[1]}, {x.shape[2]}, rule)"
        )
    turned = jnp.transpose(x, (0, 3, 2, 1)).astype(jnp.float32)  # [B, 3, w, h]
    turned = _resize_rows(by_column, turned)  # [B, 3, S, h]
    planes = _resize_rows(by_row, jnp.swapaxes(turned, 2, 3))  # [B, 3, S, S]
    return jnp.transpose(planes.astype(jnp.uint8), (0, 2, 3, 1))


def preprocess(images: ArrayLike, rule: ResizeRule | None) -> jax.Array:
    """Resizes and crops a batch of images of one size; may be called inside `jax.jit`.

    Args:
      images: uint8, [B, h, w, 3].
      rule: sizes and method, applied whatever the images' size; None for images that have been
        resized and cropped.

    Returns:
      float32, [B, S, S, 3], in [0, 1]; `[B, h, w, 3]` without a rule.

    Raises:
      UserError: for images of another dtype or shape.

    >>> import numpy as np
    >>> preprocess(np.zeros((2, 32, 48, 3), np.uint8), ResizeRule(224)).shape
    (2, 224, 224, 3)
    """
    x = jnp.asarray(images)
    check_images(x, ("B", "h", "w", 3))
    # A rule changes nothing only where it crops nothing off images that have its size.
    if rule and not x.shape[1] == x.shape[2] == rule.short_side == rule.image_size:
        x = resize_and_crop(x, *resize_matrices(*x.shape[1:3], rule))
    return x.astype(jnp.float32) / 255.0


def _resize_rows(weights: jax.Array, planes: jax.Array) -> jax.Array:
    """Returns `weights @ planes` rounded half up to whole grey levels and clipped to 0 .. 255.

    As exact as PIL's fixed point: each weight is split into a coarse part, a multiple of 2**-11,
    and a fine rest of at most 2**-12, a multiple of 2**-22. Planes are whole numbers up to 255, so
    every sum of either product fits float32's 24 bits, whatever its order, and nothing is rounded
    before the floor. (The fine sums are sure to fit up to 64 source pixels for one of the result;
    beyond, where images shrink more than 16-fold, they may lose bits of 2**-22.)

    Args:
      weights: float32, [S, n], multiples of 2**-22.
      planes: float32, [..., n, m], whole numbers in 0 .. 255.

    Returns:
      float32, [..., S, m], whole numbers in 0 .. 255.
    """
    matmul = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
    coarse_weights = jnp.round(weights * _COARSE) / _COARSE
    coarse = matmul(coarse_weights, planes) + 0.5
    fine = matmul(weights - coarse_weights, planes)
    whole = jnp.floor(coarse)
    return jnp.clip(whole + jnp.floor(coarse - whole + fine), 0.0, 255.0)
