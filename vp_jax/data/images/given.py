"""Images as somebody has them in hand: arrays, encoded files, their paths, or Pillow's objects."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from vp_jax.data.images.corrupt import CorruptImage
from vp_jax.data.images.decode import decode_image, pixels_of
from vp_jax.data.images.resize_rule import check_images
from vp_jax.errors import UserError
from vp_jax.host import files

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from PIL import Image as pil

    GivenImage: TypeAlias = ArrayLike | bytes | str | os.PathLike[str] | pil.Image | "NamedImage"
    GivenImages: TypeAlias = GivenImage | Sequence[GivenImage]


@dataclasses.dataclass(frozen=True)
class NamedImage:
    """An image file that is read when it is needed, of a folder, an archive or wherever it lies.

    Attributes:
      name: for messages.
      read: returns its content; raises UserError or OSError.
      folder: the name of the folder that it lies in; empty where that has none.
    """

    name: str
    read: Callable[[], bytes]
    folder: str = ""


def single_images(images: GivenImages) -> tuple[Sequence[Any], bool]:
    """What was given as a sequence of images, none of which is read yet.

    Args:
      images: one image or several: an array, uint8 `[h, w, 3]` or `[B, h, w, 3]`; the path of an
        image file, its content as bytes, or an image of Pillow; or a list or tuple of these, of any
        sizes.

    Returns:
      The images, and whether it was a single one, not in a list.

    Raises:
      UserError: an array has another type or shape, or there is no image.
    """
    if isinstance(images, (bytes, str, os.PathLike, NamedImage)) or _is_of_pillow(images):
        return [images], True
    if isinstance(images, (list, tuple)):
        if not images:
            raise UserError("no images were given: the list of them is empty")
        return images, False
    array = np.asarray(images)
    if array.ndim == 3:
        check_images(array, ("h", "w", 3))
        return [array], True
    if array.ndim == 4 and not len(array):
        raise UserError(f"no images were given: the array of them has the shape {array.shape}")
    check_images(array, ("B", "h", "w", 3))
    return list(array), False


def pixels(image: Any, number: int, upright: bool = False) -> np.ndarray:
    """The pixels of one of `single_images`, uint8 `[h, w, 3]`.

    Args:
      image: as there.
      number: its place among them, for messages.
      upright: whether photographs are turned as their EXIF orientation says.

    Raises:
      UserError: its file cannot be read or decoded, or it is an array of another type or shape.
    """
    try:
        if isinstance(image, (str, os.PathLike)):
            return decode_image(files.expanded(image).read_bytes(), upright=upright)
        if isinstance(image, NamedImage):
            return decode_image(image.read(), upright=upright)
        if isinstance(image, bytes):
            return decode_image(image, upright=upright)
        if _is_of_pillow(image):
            return pixels_of(image, upright=upright)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{_called(image, number)} cannot be read: {reason}") from error
    except CorruptImage as error:
        raise UserError(f"{_called(image, number)} cannot be decoded: {error}") from error
    array = np.asarray(image)
    try:
        check_images(array, ("h", "w", 3))
    except UserError as error:
        raise UserError(f"image {number} of those given: {error}") from None
    return array


def _called(image: Any, number: int) -> str:
    if isinstance(image, (str, os.PathLike)):
        return f"the image {image}"
    if isinstance(image, NamedImage):
        return f"the image {image.name}"
    return f"image {number} of those given"


def _is_of_pillow(image: Any) -> bool:
    # Not loaded, or not yet whole in another thread, it has made no image.
    kind = getattr(sys.modules.get("PIL.Image"), "Image", None)
    return kind is not None and isinstance(image, kind)
