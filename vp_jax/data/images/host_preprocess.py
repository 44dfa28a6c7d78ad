"""Resize and crop one image on the host with PIL, the same pixels in every release of it.

PIL resizes in two passes and rounds to whole grey levels after each, so their order shows. Up to
release 12 columns come first; PIL 13 turns the passes round for images more than twice as tall as
wide that shrink. Here each pass is a call of its own, columns first, and what the crop does not
see is cut away between them. PIL lets other threads run meanwhile. Imports no JAX.
"""

from __future__ import annotations

import numpy as np

from vp_jax.data.images.resize_rule import Axis, ResizeRule, axes, check_images

_ELONGATED = 8
"""Images whose sides differ by more than this factor are resized where the crop sees them only."""


def preprocess_one(image: np.ndarray, rule: ResizeRule) -> np.ndarray:
    """Resizes and crops one image: PIL's pixels, whatever its size and shape.

    PIL resizes whole rows and columns: an image of 20,000 x 1 pixels would become one of
    4,480,000 x 224 before the crop. Elongated images are therefore resized by the same weights in
    NumPy, and only where the crop sees them.

    Args:
      image: uint8, [h, w, 3].
      rule: sizes and method.

    Returns:
      uint8, [S, S, 3].

    Raises:
      UserError: for an image of another dtype or shape.
    """
    image = np.asarray(image)
    check_images(image, ("h", "w", 3))
    rows, columns = axes(image.shape[0], image.shape[1], rule)
    if max(image.shape[:2]) > _ELONGATED * min(image.shape[:2]):
        turned = _weighted(columns, image[rows.seen, columns.seen].swapaxes(0, 1)).swapaxes(0, 1)
        return _weighted(rows, turned)
    return _with_pil(image, rows, columns)


def _with_pil(image: np.ndarray, rows: Axis, columns: Axis) -> np.ndarray:
    from PIL import Image

    method = Image.Resampling[rows.rule.method.upper()]
    side, seen = rows.rule.image_size, rows.seen
    passed = Image.fromarray(image[seen]).resize((columns.resized, seen.stop - seen.start), method)
    # The rows that nothing depends on come back black, since a pass must begin where it would.
    left, above = columns.first, -seen.start
    passed = passed.crop((left, above, left + side, above + rows.size))
    passed = passed.resize((side, rows.resized), method)
    return np.array(passed.crop((0, rows.first, side, rows.first + side)))


def _weighted(axis: Axis, lines: np.ndarray) -> np.ndarray:
    """Resizes the first of three dimensions: uint8 [seen, n, 3] to uint8 [S, n, 3].

    Weights are multiples of 2**-22 and sums less than 2**10, so float64 is exact in any order.
    """
    weights = axis.weights().astype(np.float64)
    resized = np.empty((len(weights), *lines.shape[1:]), np.uint8)
    step = 1 + (1 << 22) // lines[:, :1].size  # Some 32 MiB as float64 at a time.
    for first in range(0, lines.shape[1], step):
        part = np.tensordot(weights, lines[:, first : first + step].astype(np.float64), 1)
        resized[:, first : first + step] = np.clip(np.floor(part + 0.5), 0, 255)
    return resized
