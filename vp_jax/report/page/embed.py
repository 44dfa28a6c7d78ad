"""Images within a page, as data."""

from __future__ import annotations

import base64
import io

import numpy as np

SMALL = 96
"""Pixels of a side up to which an image is stored without loss."""
LARGEST = 224
"""Pixels of a side that a photograph has on a page at most."""


def picture(image: np.ndarray, largest: int | None = LARGEST) -> str:
    """An image as a `data:` address: PNG of small ones, JPEG of photographs.

    Args:
      image: uint8, or floating in [0, 1], `[H, W, 3]`, or `[H, W, 4]`, which is always a PNG.
      largest: pixels of the longer side, to which larger ones are shrunk; None keeps them, as PNG.
    """
    from PIL import Image

    if image.dtype != np.uint8:
        image = np.rint(255 * np.clip(np.nan_to_num(image, nan=0.5), 0, 1)).astype(np.uint8)
    drawn = Image.fromarray(image)
    buffer, side = io.BytesIO(), max(image.shape[:2])
    if largest is None or side <= SMALL or image.shape[-1] == 4:
        kind = "png"
        drawn.save(buffer, "PNG", optimize=True)
    else:
        kind = "jpeg"
        drawn.thumbnail((largest, largest))
        drawn.save(buffer, "JPEG", quality=88, subsampling=0)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def heat(values: np.ndarray) -> np.ndarray:
    """Values as colours between dark blue and yellow, uint8 `[H, W, 3]`; the largest is yellow.

    Args:
      values: not negative, `[H, W]`.
    """
    from matplotlib import colormaps

    top = np.percentile(values, 99.5) if values.size else 0.0
    scaled = np.clip(values / (top if top > 0 else max(values.max(initial=0), 1e-12)), 0, 1)
    return (255 * colormaps["inferno"](scaled)[..., :3]).astype(np.uint8)
