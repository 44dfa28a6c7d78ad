"""The weights by which PIL resizes images, of its antialiased bilinear and bicubic filters.

Imports no JAX, so that processes that only decode need not load it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


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

METHODS = tuple(_FILTERS)


def reach(size: int, resized: int, kept: np.ndarray, method: str) -> tuple[np.ndarray, np.ndarray]:
    """The first source pixel of resized ones, and the one after the last.

    Args:
      size: pixels before.
      resized: pixels after.
      kept: which of those after, ints of any shape.
      method: one of `METHODS`; where images are made smaller the filter is widened by as much.
    """
    scale = size / resized
    support = _FILTERS[method][1] * max(scale, 1.0)
    centres = (kept + 0.5) * scale
    begin = np.maximum(np.trunc(centres - support + 0.5), 0).astype(np.int64)
    end = np.minimum(np.trunc(centres + support + 0.5), size).astype(np.int64)
    return begin, end


def weights(
    size: int, resized: int, kept: np.ndarray, source: np.ndarray, method: str
) -> np.ndarray:
    """The weights of source pixels in resized ones, float64 `[kept, source]`, rows summing to 1.

    Args:
      size, resized, method: as for `reach`.
      kept: which of the pixels after, ints `[kept]`.
      source: which of those before, ints `[source]`; all that the kept ones reach.
    """
    kept, source = kept[:, None], source[None, :]
    scale = size / resized
    begin, end = reach(size, resized, kept, method)
    found = _FILTERS[method][0]((source - (kept + 0.5) * scale + 0.5) / max(scale, 1.0))
    found = np.where((begin <= source) & (source < end), found, 0.0)
    return found / found.sum(axis=1, keepdims=True)
