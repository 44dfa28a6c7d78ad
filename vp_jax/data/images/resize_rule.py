"""How images of any size become square ones: sizes, crop, and the exact weights of PIL's filters.

Imports no JAX, so that processes that only decode need not load it.
"""

from __future__ import annotations

import dataclasses
import functools
import numbers
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vp_jax import resampling
from vp_jax.errors import UserError, unknown

if TYPE_CHECKING:
    import jax

_FINE = 2.0**22
"""PIL rounds its weights to multiples of 1 / _FINE; float32 holds every one of them exactly."""


@dataclasses.dataclass(frozen=True)
class ResizeRule:
    """How images of any size become square ones of one size.

    The short side is resized to `resize_size`, the long one in proportion (rounded down), and the
    centre is cropped to `image_size` in both directions. `ResizeRule(224)` is CLIP's rule,
    `ResizeRule(224, 256, "bilinear")` that of most ImageNet models.

    Attributes:
      image_size: side of the result in pixels.
      resize_size: the short side before the crop, at least `image_size`, which None stands for:
        two rules are equal if they do the same.
      method: `"bicubic"` or `"bilinear"`, antialiased.

    Raises:
      UserError: for impossible sizes and unknown methods.
    """

    image_size: int
    resize_size: int | None = None
    method: str = "bicubic"

    def __post_init__(self) -> None:
        check_size("image_size", self.image_size)
        if self.resize_size is None:
            object.__setattr__(self, "resize_size", self.image_size)
        check_size("resize_size", self.short_side)
        if self.short_side < self.image_size:
            raise UserError(
                f"resize_size must be at least image_size, got resize_size={self.resize_size} and"
                f" image_size={self.image_size}: the crop would reach beyond the image"
            )
        if not isinstance(self.method, str) or self.method not in resampling.METHODS:
            raise unknown("resize method", self.method, resampling.METHODS)

    @property
    def short_side(self) -> int:
        """The short side before the crop."""
        return self.image_size if self.resize_size is None else self.resize_size

    def shrunk(self, image_size: int) -> ResizeRule:
        """The rule that shows the same part of every image in a smaller size."""
        short_side = round(self.short_side * image_size / self.image_size)
        return ResizeRule(image_size, short_side, self.method)


class Axis(NamedTuple):
    """One direction of an image on its way to `rule.image_size` pixels.

    Attributes:
      size: pixels before.
      resized: pixels after the resize.
      first: the first of them that the crop keeps.
      rule: size of the crop, and the method.
    """

    size: int
    resized: int
    first: int
    rule: ResizeRule

    @property
    def seen(self) -> slice:
        """The source pixels that the crop depends on."""
        ends = np.array([self.first, self.first + self.rule.image_size - 1])
        begin, end = resampling.reach(self.size, self.resized, ends, self.rule.method)
        return slice(int(begin[0]), int(end[1]))

    def weights(self) -> np.ndarray:
        """The weights of the seen source pixels, float32 `[S, seen]`, as PIL has them."""
        kept = np.arange(self.first, self.first + self.rule.image_size)
        seen = self.seen
        source = np.arange(seen.start, seen.stop)
        weights = resampling.weights(self.size, self.resized, kept, source, self.rule.method)
        weights = np.trunc(weights * _FINE + np.copysign(0.5, weights)) / _FINE
        return weights.astype(np.float32)


def axes(height: int, width: int, rule: ResizeRule) -> tuple[Axis, Axis]:
    """Rows and columns of an image on their way through a rule.

    Sizes and crop are torchvision's `Resize(int)` and `CenterCrop`.

    Raises:
      UserError: when `height` or `width` is not an int of at least 1.
    """
    check_size("the image height", height)
    check_size("the image width", width)
    long = int(rule.short_side * max(height, width) / min(height, width))
    sizes = (rule.short_side, long) if height <= width else (long, rule.short_side)
    rows, columns = (
        Axis(int(size), resized, round((resized - rule.image_size) / 2.0), rule)
        for size, resized in zip((height, width), sizes, strict=True)
    )
    return rows, columns


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
    rows, columns = axes(height, width, rule)
    return _matrix(rows), _matrix(columns)


def _matrix(axis: Axis) -> np.ndarray:
    matrix = np.zeros((axis.rule.image_size, axis.size), np.float32)
    matrix[:, axis.seen] = axis.weights()
    matrix.flags.writeable = False
    return matrix


def check_size(what: str, size: object) -> None:
    """Refuses what is not an int of at least 1."""
    if isinstance(size, bool) or not isinstance(size, numbers.Integral) or size < 1:
        raise UserError(f"{what} must be an int of at least 1, got {size!r}")


def check_images(images: np.ndarray | jax.Array, shape: tuple[str | int, ...]) -> None:
    """Refuses images that are not uint8 RGB of at least one pixel with these dimensions."""
    wanted = f"[{', '.join(map(str, shape))}]"
    if images.dtype != np.uint8:
        raise UserError(
            f"images must be uint8 {wanted} with values 0 .. 255, got {images.dtype} of shape"
            f" {images.shape}"
        )
    if images.ndim != len(shape) or images.shape[-1] != shape[-1] or 0 in images.shape[-3:]:
        raise UserError(
            f"images must be uint8 {wanted}, got shape {images.shape}: load them as RGB, channels"
            " last"
        )
