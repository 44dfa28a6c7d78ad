"""What a file that is no readable image is instead, in words for the person who has it."""

from __future__ import annotations

import codecs

_CONVERT = "which is not read: convert it to JPEG or PNG"

_BEGINNINGS = (
    (b"\xff\xd8\xff", "a damaged JPEG file"),
    (b"\x89PNG\r\n\x1a\n", "a damaged PNG file"),
    ((b"GIF87a", b"GIF89a"), "a damaged GIF file"),
    ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "a damaged or unusual TIFF file"),
    ((b"\xff\x0a", b"\0\0\0\x0cJXL "), f"a JPEG XL picture, {_CONVERT}"),
    (b"8BPS", f"a Photoshop document, {_CONVERT}"),
    ((b"%!PS", b"\xc5\xd0\xd3\xc6"), f"a PostScript drawing, {_CONVERT}"),
    (b"%PDF", f"a PDF document, {_CONVERT}"),
    ((b"PK\x03\x04", b"PK\x05\x06"), "a zip archive (or an office document), not an image"),
    (b"\x1f\x8b", "a file compressed with gzip: decompress it"),
    (b"BZh", "a file compressed with bzip2: decompress it"),
    (b"\xfd7zXZ\0", "a file compressed with xz: decompress it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive, not an image"),
    (b"Rar!", "a RAR archive, not an image"),
    (b"\xd0\xcf\x11\xe0", "an office document or a cache of thumbnails, not an image"),
    (b"version https://git-lfs", "a placeholder of Git LFS: fetch the image with `git lfs pull`"),
    (b"\x93NUMPY", "an array of NumPy, not an image"),
    (b"\x89HDF", "an HDF5 file, not an image"),
    (b"\x1aE\xdf\xa3", "a video, not an image"),
)
"""What files of a kind begin with."""

_BRANDS = (
    ((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), f"a HEIC photograph, {_CONVERT}"),
    ((b"avif", b"avis"), "an AVIF picture, damaged or of a kind that this Pillow does not read"),
    ((b"mif1", b"msf1"), f"a HEIF photograph, {_CONVERT}"),
    ((b"crx ",), f"a raw photograph, {_CONVERT}"),
)
"""What files in the container of MP4 name as their brand."""


def describe(content: bytes) -> str:
    """Says what a file is that begins with these bytes: "this is a web page (HTML), not an image".

    Args:
      content: all of the file, or its beginning.
    """
    if not content:
        return "the file is empty"
    start = content[:1024]
    if not start.strip(b"\0"):
        return "the file holds zeros instead of an image"
    if start[4:8] == b"ftyp":
        brands = [start[8:12], *(start[i : i + 4] for i in range(16, _box_end(start), 4))]
        for names, kind in _BRANDS:
            if any(brand in names for brand in brands):
                return f"this is {kind}"
        return "this is a video, not an image"
    if start[:4] == b"RIFF":
        return "this is " + (
            "a damaged WebP file" if start[8:12] == b"WEBP" else "a sound or video, not an image"
        )
    bits = _jpeg_bits(content)
    if bits is not None and bits != 8:
        return f"this is a JPEG file of {bits} bits, {_CONVERT}"
    for beginning, kind in _BEGINNINGS:
        if start.startswith(beginning):
            return f"this is {kind}"
    return _text(start) or f"this is no image of a known kind: it begins with {start[:8].hex(' ')}"


def _jpeg_bits(content: bytes) -> int | None:
    """How many bits a JPEG file has for a channel; None if it is none or does not say."""
    at = 2 if content.startswith(b"\xff\xd8\xff") else len(content)
    while at + 4 < len(content) and content[at] == 0xFF:
        kind = content[at + 1]
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):  # The start of a frame.
            return content[at + 4]
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return None


def _box_end(start: bytes) -> int:
    return min(int.from_bytes(start[:4], "big"), len(start))


def _text(start: bytes) -> str | None:
    """What a text is; None if it is none."""
    try:  # The last character may be cut in two.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(start)
    except UnicodeDecodeError:
        return None
    if not all(c.isprintable() or c.isspace() for c in text):
        return None
    lower = text.lstrip().lower()
    if "<svg" in lower:
        return f"this is an SVG drawing, {_CONVERT}"
    if lower.startswith(("<!doctype html", "<html", "<head", "<body")):
        return "this is a web page (HTML), not an image: the download may have failed"
    if lower.startswith("<?xml"):
        return "this is an XML text, not an image"
    beginning = " ".join(text.split())[:40]
    return f"this is a text, not an image: it begins with {beginning!r}"
