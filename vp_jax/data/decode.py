"""Encoded image files to uint8 RGB."""

from __future__ import annotations

import io

import numpy as np


def decode_image(encoded: bytes) -> np.ndarray:
    """Decodes any image file that Pillow reads.

    The pixels are taken as they are stored: an EXIF orientation is not applied and transparency is
    dropped, as in the preprocessing CLIP was published with. Images of 16 bits a channel keep the
    upper 8.

    Args:
      encoded: the file's bytes.

    Returns:
      uint8 `[h, w, 3]`.

    Raises:
      Exception: whatever Pillow raises for a file that is damaged; there is no common type.
    """
    from PIL import Image

    with Image.open(io.BytesIO(encoded)) as image:
        if image.mode.startswith("I"):  # Pillow's own conversion clips these at 255.
            grey = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
            return np.repeat(grey[..., None], 3, axis=-1)
        return np.array(image if image.mode == "RGB" else image.convert("RGB"))
