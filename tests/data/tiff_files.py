"""TIFF files written out by hand, with tags that Pillow does not write."""

from __future__ import annotations

import struct

import numpy as np


def tiff(
    image: np.ndarray,
    *,
    bits: int | None = None,
    order: str = "<",
    photometric: int | None = None,
    sample_format: int | None = None,
    more: dict[int, int] | None = None,
) -> bytes:
    """A TIFF file of the numbers of an array `[h, w]` or `[h, w, 3]`.

    Args:
      image: of the type that is stored, but for 12 bits, which are packed.
      bits: a number, by default those of the array's type.
      order: of the bytes, `"<"` or `">"`.
      photometric: 0 where white is zero; by default black is.
      sample_format: 1 for unsigned, 2 for signed, 3 for floating-point numbers; by default there is
        no such tag.
      more: further tags with short numbers.
    """
    height, width, *channels = image.shape
    samples = channels[0] if channels else 1
    bits = bits or image.dtype.itemsize * 8
    pixels = image.astype(image.dtype.newbyteorder(order)).tobytes()
    if bits == 12:
        pixels = _packed(image)
    if photometric is None:
        photometric = 2 if channels else 1
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: samples}
    tags |= {278: height, 279: len(pixels)} | (more or {})
    if sample_format is not None:
        tags[339] = sample_format
    pixels += b"\0" * (len(pixels) % 2)
    far = 8 + len(pixels) + 2 + 12 * len(tags) + 4  # What is too long for an entry follows them.
    content = struct.pack(f"{order}H", len(tags))
    for tag, value in sorted(tags.items()):
        kind, letter = (4, "I") if tag in (273, 279) else (3, "H")
        count = samples if tag == 258 else 1
        stored = struct.pack(f"{order}{letter}", value).ljust(4, b"\0")
        if count > 2:
            stored = struct.pack(f"{order}I", far)
        content += struct.pack(f"{order}HHI", tag, kind, count) + stored
    content += struct.pack(f"{order}I", 0) + struct.pack(f"{order}{samples}H", *[bits] * samples)
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(pixels))
    return start + pixels + content


def _packed(image: np.ndarray) -> bytes:
    """Numbers of 12 bits, two in three bytes; rows have an even length."""
    first, second = image[:, ::2].astype(int), image[:, 1::2].astype(int)
    triples = [first >> 4, (first & 15) << 4 | second >> 8, second & 255]
    return np.stack(triples, axis=-1).astype(np.uint8).tobytes()
