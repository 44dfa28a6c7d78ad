"""Resize, centre crop and normalise images, pixel for pixel as PIL and torchvision do.

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

import dataclasses
import functools
import numbers
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from vp_jax.errors import UserError, unknown

_FINE = 2.0**22
"""PIL rounds its weights to multiples of 1 / _FINE; float32 holds every one of them exactly."""

_COARSE = 2.0**11
"""The coarse part of a weight is a multiple of 1 / _COARSE; see `_resize_rows`."""

_PAD_TO = 64
"""Single images are padded to multiples of this, so that few shapes have to be compiled."""


def _bilinear(x: np.ndarray) -> np.ndarray:
    """The triangle of half width 1."""
    return np.maximum(1.0 - np.abs(x), 0.0)


def _bicubic(x: np.ndarray) -> np.ndarray:
    """The cubic convolution kernel of Keys (1981) with a = -1/2, of half width 2."""
    a = -0.5
    x = np.abs(x)
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * a
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


_FILTERS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "bicubic": (_bicubic, 2.0),
    "bilinear": (_bilinear, 1.0),
}
"""Each method's kernel and half width."""


@dataclasses.dataclass(frozen=True)
class ResizeRule:
    """How images of any size become square ones of one size.

    The short side is resized to `resize_size`, the long one in proportion (rounded down), and the
    centre is cropped to `image_size` in both directions. `ResizeRule(224)` is CLIP's rule,
    `ResizeRule(224, 256, "bilinear")` that of most ImageNet models.

    Attributes:
      image_size: side of the result in pixels.
      resize_size: the short side before the crop, at least `image_size`, which is the default.
      method: `"bicubic"` or `"bilinear"`, antialiased.

    Raises:
      UserError: for impossible sizes and unknown methods.
    """

    image_size: int
    resize_size: int | None = None
    method: str = "bicubic"

    def __post_init__(self) -> None:
        _check_size("image_size", self.image_size)
        _check_size("resize_size", self.short_side)
        if self.short_side < self.image_size:
            raise UserError(
                f"resize_size must be at least image_size, got resize_size={self.resize_size} and"
                f" image_size={self.image_size}: the crop would reach beyond the image"
            )
        if not isinstance(self.method, str) or self.method not in _FILTERS:
            raise unknown("resize method", self.method, _FILTERS)

    @property
    def short_side(self) -> int:
        """The short side before the crop."""
        return self.image_size if self.resize_size is None else self.resize_size


@functools.lru_cache(maxsize=128)
def resize_matrices(height: int, width: int, rule: ResizeRule) -> tuple[np.ndarray, np.ndarray]:
    """Returns the two matrices that resize and crop an image.

    Sizes and crop are torchvision's `Resize(int)` and `CenterCrop`; weights are those of PIL's
    `Image.resize`.

    Args:
      height: rows of the image, at least 1.
      width: columns of the image, at least 1.
      rule: sizes and method.

    Returns:
      `rows` [S, height] and `columns` [S, width], with S = `rule.image_size`: float32, read-only,
      each row of them summing to 1 (up to PIL's rounding of each weight to 22 bits). A grey image
      becomes `rows @ (image @ columns.T)`, but for the rounding to grey levels.

    Raises:
      UserError: when `height` or `width` is not an int of at least 1.
    """
    _check_size("the image height", height)
    _check_size("the image width", width)
    short, long = min(height, width), max(height, width)
    resized_long = int(rule.short_side * long / short)
    sizes = (rule.short_side, resized_long) if height <= width else (resized_long, rule.short_side)
    return _matrix(height, sizes[0], rule), _matrix(width, sizes[1], rule)


def _matrix(size: int, resized: int, rule: ResizeRule) -> np.ndarray:
    """Returns the weights [S, size] that resize one direction from `size` and crop its centre."""
    kernel, half_width = _FILTERS[rule.method]
    scale = size / resized
    stretch = max(scale, 1.0)
    support = half_width * stretch

    first = round((resized - rule.image_size) / 2.0)
    centres = (np.arange(first, first + rule.image_size)[:, None] + 0.5) * scale
    begin = np.maximum(np.trunc(centres - support + 0.5), 0)
    end = np.minimum(np.trunc(centres + support + 0.5), size)

    source = np.arange(size)[None, :]
    weights = kernel((source - centres + 0.5) / stretch)
    weights = np.where((begin <= source) & (source < end), weights, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    weights = np.trunc(weights * _FINE + np.copysign(0.5, weights)) / _FINE
    weights = weights.astype(np.float32)
    weights.flags.writeable = False
    return weights


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
    images, rows, columns = jnp.asarray(images), jnp.asarray(rows), jnp.asarray(columns)
    _check_images(images, ("B", "h", "w", 3))
    if (rows.shape[-1:], columns.shape[-1:]) != (images.shape[1:2], images.shape[2:3]):
        raise UserError(
            f"matrices of shapes {rows.shape} and {columns.shape} do not fit images of shape"
            f" {images.shape}: take resize_matrices({images.shape[1]}, {images.shape[2]}, rule)"
        )
    turned = jnp.transpose(images, (0, 3, 2, 1)).astype(jnp.float32)  # [B, 3, w, h]
    turned = _resize_rows(columns, turned)  # [B, 3, S, h]
    planes = _resize_rows(rows, jnp.swapaxes(turned, 2, 3))  # [B, 3, S, S]
    return jnp.transpose(planes.astype(jnp.uint8), (0, 2, 3, 1))


def preprocess(images: ArrayLike, rule: ResizeRule) -> jax.Array:
    """Resizes and crops a batch of images of one size; may be called inside `jax.jit`.

    Args:
      images: uint8, [B, h, w, 3].
      rule: sizes and method.

    Returns:
      float32, [B, S, S, 3], in [0, 1].

    Raises:
      UserError: for images of another dtype or shape.

    >>> preprocess(np.zeros((2, 32, 48, 3), np.uint8), ResizeRule(224)).shape
    (2, 224, 224, 3)
    """
    images = jnp.asarray(images)
    _check_images(images, ("B", "h", "w", 3))
    if not images.shape[1] == images.shape[2] == rule.short_side == rule.image_size:
        images = resize_and_crop(images, *resize_matrices(*images.shape[1:3], rule))
    return images.astype(jnp.float32) / 255.0


def preprocess_one(image: np.ndarray, rule: ResizeRule) -> np.ndarray:
    """Resizes and crops one image, for data sets whose images differ in size.

    The part of the image that the crop sees is padded to multiples of 64 pixels, so that a
    thousand photographs of different sizes take only a few compilations.

    Args:
      image: uint8, [h, w, 3].
      rule: sizes and method.

    Returns:
      uint8, [S, S, 3].

    Raises:
      UserError: for an image of another dtype or shape.
    """
    image = np.asarray(image)
    _check_images(image, ("h", "w", 3))
    rows, columns = resize_matrices(*image.shape[:2], rule)
    seen_rows, seen_columns = _seen(rows), _seen(columns)
    image = image[seen_rows, seen_columns]
    below, right = -image.shape[0] % _PAD_TO, -image.shape[1] % _PAD_TO
    image = np.pad(image, ((0, below), (0, right), (0, 0)))
    rows = np.pad(rows[:, seen_rows], ((0, 0), (0, below)))
    columns = np.pad(columns[:, seen_columns], ((0, 0), (0, right)))
    return np.asarray(resize_and_crop(image[None], rows, columns)[0])


def normalize(images: ArrayLike, mean: Sequence[float], std: Sequence[float]) -> jax.Array:
    """Returns `(images - mean) / std`, per channel, in the images' dtype.

    Args:
      images: floating, [..., C], in [0, 1] for the usual statistics.
      mean: C numbers.
      std: C numbers, all positive.

    Raises:
      UserError: for images that are not floating, or statistics that are not C finite numbers.

    >>> normalize(np.ones((1, 3)), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.25)).tolist()
    [[1.0, 1.0, 2.0]]
    """
    images = jnp.asarray(images)
    mean, std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise UserError(
            f"normalize takes floating images in [0, 1], got {images.dtype} of shape"
            f" {images.shape}: call preprocess first, or divide by 255"
        )
    if not mean.shape == std.shape == images.shape[-1:]:
        raise UserError(
            f"images of shape {images.shape} need one mean and one std for each of their channels,"
            f" got shapes {mean.shape} and {std.shape}"
        )
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
        raise UserError(
            f"mean must be finite and std positive, got mean={mean.tolist()}, std={std.tolist()}"
        )
    return ((images - mean) / std).astype(images.dtype)


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


def _seen(matrix: np.ndarray) -> slice:
    """Returns the range of source pixels that have any weight in a matrix."""
    seen = np.flatnonzero(matrix.any(axis=0))
    return slice(seen[0], seen[-1] + 1)


def _check_size(what: str, size: object) -> None:
    if isinstance(size, bool) or not isinstance(size, numbers.Integral) or size < 1:
        raise UserError(f"{what} must be an int of at least 1, got {size!r}")


def _check_images(images: jax.Array | np.ndarray, axes: tuple[str | int, ...]) -> None:
    """Refuses images that are not uint8 RGB of at least one pixel with these dimensions."""
    shape, wanted = images.shape, f"[{', '.join(map(str, axes))}]"
    if images.dtype != np.uint8:
        raise UserError(
            f"images must be uint8 {wanted} with values 0 .. 255, got {images.dtype} of shape"
            f" {shape}"
        )
    if len(shape) != len(axes) or shape[-1] != axes[-1] or 0 in shape[-3:]:
        raise UserError(
            f"images must be uint8 {wanted}, got shape {shape}: load them as RGB, channels last"
        )
