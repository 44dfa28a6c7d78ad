"""Grey images of other numbers than 8 bits to 8 bits, by the range that their files declare.

An image is never stretched by its own darkest and brightest pixel: that would take away what
distinguishes a dark photograph from a bright one. So a TIFF file's tags of least and greatest
values count for nothing, which are of one image each; TIFF 6.0 too forbids to show it by them. And
in a PNG file of 16 bits the chunk sBIT says how exact the numbers are, not that they end earlier.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vp_jax.data.images.corrupt import CorruptImage, WiderRange

if TYPE_CHECKING:
    from PIL import Image

WHITES = (255, 65535)
"""What may be white where a file only declares whole numbers of 32 bits."""

_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_SIGNED, _WHITE_IS_ZERO = 2, 0


class Numbers(NamedTuple):
    """What a file declares about the numbers of its pixels.

    Attributes:
      dtype: of the numbers as they are stored, which Pillow may show as others of as many bits.
      white: the number that stands for white; None if nothing says.
      inverted: whether black and white are exchanged, and Pillow does not change them back.
    """

    dtype: np.dtype
    white: int | None
    inverted: bool


def declared(image: Image.Image) -> Numbers | None:
    """What a file declares, just opened; None where Pillow makes 8 bits of it by itself."""
    from PIL.TiffImagePlugin import TiffImageFile

    tags: Mapping[int, Any] = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    signed = tags.get(_SAMPLE_FORMAT, (1,))[0] == _SIGNED
    if image.mode == "L" and signed:
        return Numbers(np.dtype(np.int8), 127, False)
    if not image.mode.startswith(("I", "F")):
        return None
    inverted = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    if image.mode == "F":
        return Numbers(np.dtype(np.float32), 1, inverted)
    if image.format != "TIFF":  # Pillow scales those of PGM and JPEG 2000 to 16 bits.
        return Numbers(np.dtype(np.uint16), 65535, False)
    bits = tags[_BITS][0]
    dtype = np.dtype(f"{'i' if signed else 'u'}{4 if bits == 32 else 2}")
    white = None if bits == 32 else (1 << (bits - signed)) - 1
    return Numbers(dtype, white, inverted)


def to_8_bits(image: Image.Image, numbers: Numbers, white: int | None = None) -> np.ndarray:
    """The grey levels of an image, uint8 `[h, w]`.

    Args:
      image: loaded.
      numbers: what its file declares.
      white: what is white where the file does not say; None for the least of `WHITES` that no
        pixel is beyond.

    Raises:
      CorruptImage: there are numbers below 0 or beyond white; a `WiderRange` where they would not
        be beyond the greatest of `WHITES`.
    """
    values = np.asarray(image)
    if not values.size:
        return np.zeros(values.shape, np.uint8)
    if values.dtype.itemsize == numbers.dtype.itemsize:
        values = values.view(numbers.dtype.newbyteorder(values.dtype.byteorder))
    low, high = values.min(), values.max()
    most = WHITES[-1] if numbers.white is None else numbers.white
    if not (low >= 0 and high <= most):  # Also for NaN.
        kind = "floating-point numbers" if numbers.dtype.kind == "f" else "whole numbers"
        raise CorruptImage(
            f"its pixels are {kind} from {low:g} to {high:g}, not 0 to {most:g}: nothing says what "
            "is black and what is white, so save it with 8 or 16 bits"
        )
    if numbers.white is None:
        most = white or next(w for w in WHITES if high <= w)
        if high > most:
            raise WiderRange(
                f"its pixels are whole numbers of 32 bits up to {high}, and {most} was white in "
                "the images before it: save all images with 8 or 16 bits"
            )
    levels = _scaled(values, most)
    return 255 - levels if numbers.inverted else levels


def _scaled(values: np.ndarray, white: int) -> np.ndarray:
    """Numbers from 0 to white as 0 to 255; of more than 8 bits the upper 8 are kept."""
    if values.dtype.kind == "f":
        return np.rint(values * 255).astype(np.uint8)
    extra = white.bit_length() - 8
    if extra >= 0:
        return (values >> extra).astype(np.uint8)
    return (values.astype(np.int64) * 255 // white).astype(np.uint8)
