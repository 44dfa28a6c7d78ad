"""Encoded image files to uint8 RGB."""

from __future__ import annotations

import functools
import io
import re
import warnings
import zlib
from typing import TYPE_CHECKING

import numpy as np

from vp_jax.data.files import file_kinds
from vp_jax.data.images import grey_levels
from vp_jax.data.images.corrupt import CorruptImage

if TYPE_CHECKING:
    from PIL import Image

FORMATS = (
    *("JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "AVIF", "TIFF", "PPM", "JPEG2000"),
    "TGA",  # Last: nothing marks its beginning.
)
"""What is read, by Pillow's names; AVIF where Pillow was built with it."""

MAX_PIXELS = 2 * 89_478_485
"""Larger images are refused; it is the limit beyond which Pillow takes a file for an attack."""


def decode_image(encoded: bytes, *, upright: bool = False, white: int | None = None) -> np.ndarray:
    """Decodes an image file, known by its content and not its name.

    Of an animation or a file of several pages it is the first. Pixels are taken as they are stored:
    transparency is dropped, as in the preprocessing CLIP was published with, and CMYK is converted
    without a colour profile (in JPEG files it is taken to be inverted, as Adobe writes it). Of more
    than 8 bits a channel the upper 8 are kept, counted from those that the file declares;
    floating-point images in [0, 1] are scaled to 0 .. 255. Whole numbers of 32 bits, which declare
    nothing, are taken for 8 bits if none is above 255, else for 16.
    JPEG is decoded in full, never at a reduced size. A JPEG with damage that the decoder passes
    over gives what any viewer shows of it.

    Warnings of Pillow about odd files are silenced, here and from then on.

    Args:
      encoded: the file's bytes.
      upright: turn and mirror the image as its EXIF orientation says. (Of TIFF files Pillow always
        obeys it.)
      white: which of `grey_levels.WHITES` is white in whole numbers of 32 bits, where other images
        have settled it.

    Returns:
      uint8 `[h, w, 3]`.

    Raises:
      CorruptImage: the file is empty, damaged, cut short, of another kind, of more than
        `MAX_PIXELS` pixels, or its numbers have no agreed brightness; a `WiderRange` if they are
        beyond `white`.
    """
    with _opened(encoded) as image:
        if image.format == "PNG":
            _check_png(encoded)
        return pixels_of(image, upright=upright, white=white)


def check_size(encoded: bytes, most: int) -> None:
    """Refuses an image file of too many pixels by what its header says; none is decoded.

    Raises:
      CorruptImage: it has more than `most`, or its header is that of no image.
    """
    _opened(encoded, most).close()


def _opened(encoded: bytes, most: int = MAX_PIXELS) -> Image.Image:
    """An image file whose header has been read, of at most so many pixels."""
    from PIL import Image

    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        image = Image.open(io.BytesIO(encoded), formats=_formats())
    except Image.UnidentifiedImageError as e:
        raise CorruptImage(file_kinds.describe(encoded)) from e
    except Image.DecompressionBombError as e:
        raise _too_large(re.search(r"\((\d+) pixels\)", str(e)), most) from e
    except MemoryError:
        raise
    except Exception as e:
        raise CorruptImage(f"{file_kinds.describe(encoded)} ({_clean(e)})") from e
    if image.width * image.height > most:
        image.close()
        raise _too_large(None, most, image.size)
    return image


def pixels_of(image: Image.Image, *, upright: bool = False, white: int | None = None) -> np.ndarray:
    """The pixels of an image that Pillow has opened, uint8 `[h, w, 3]`, by the same rules.

    Raises:
      CorruptImage: as `decode_image`, which has the arguments too.
    """
    what = f"the {image.format} file" if image.format else "the image"
    try:
        numbers = grey_levels.declared(image)
        image.load()
        pixels = _rgb(_upright(image) if upright else image, numbers, white)
    except (CorruptImage, MemoryError):
        raise
    except Exception as e:  # Decoders raise a dozen types for damaged files.
        if "truncated" in str(e).lower():
            raise CorruptImage(f"{what} is cut short") from e
        raise CorruptImage(f"{what} is damaged ({_clean(e)})") from e
    if not pixels.size:
        raise CorruptImage(f"{what} has no pixels")
    return pixels


@functools.cache
def _formats() -> tuple[str, ...]:
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _too_large(
    counted: re.Match[str] | None, most: int, size: tuple[int, int] | None = None
) -> CorruptImage:
    if size is not None:
        what = f"{size[0]:,} x {size[1]:,}"
    else:
        what = f"{int(counted.group(1)):,}" if counted else "too many"
    return CorruptImage(f"it has {what} pixels, and {most:,} are the most: make it smaller")


def _clean(error: Exception) -> str:
    """Pillow's reason on one line, without the address of the buffer that it read."""
    text = re.sub(r" ?<[^>]*>", "", " ".join(str(error).split()))
    return text or type(error).__name__


def _check_png(encoded: bytes) -> None:
    """Refuses a PNG file with a wrong checksum over its pixels, where Pillow does not look.

    Raises:
      CorruptImage: a complete chunk of pixels has another checksum than the file says.
    """
    view = memoryview(encoded)
    at = 8
    while at + 12 <= len(view):
        end = at + 8 + int.from_bytes(view[at : at + 4], "big")
        kind = view[at + 4 : at + 8]
        if kind == b"IEND":
            return
        if (
            kind == b"IDAT"
            and end + 4 <= len(view)
            and zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4], "big")
        ):
            raise CorruptImage("the PNG file is damaged (a wrong checksum over its pixels)")
        at = end + 4


def _upright(image: Image.Image) -> Image.Image:
    """Turns an image as the EXIF orientation says; what is unreadable there says nothing."""
    from PIL import Image

    turn = Image.Transpose
    turns = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_270,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_90,
    }
    try:
        orientation = image.getexif().get(0x0112)
    except Exception:  # The parser of EXIF is not made for damage.
        return image
    return image.transpose(turns[orientation]) if orientation in turns else image


def _rgb(image: Image.Image, numbers: grey_levels.Numbers | None, white: int | None) -> np.ndarray:
    """The pixels of a loaded image, uint8 `[h, w, 3]`."""
    if numbers is not None:  # Pillow's own conversion clips these at 255.
        grey = grey_levels.to_8_bits(image, numbers, white)
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode == "RGB":
        return np.array(image)
    if "transparency" in image.info:
        image = image.copy()  # It may be somebody's.
        del image.info["transparency"]
    try:
        return np.array(image.convert("RGB"))
    except ValueError as e:
        raise CorruptImage(
            f"its colours are {image.mode}, which cannot be converted to RGB: save it as RGB"
        ) from e
