"""Files called like images that are none, each with what is said about it."""

from __future__ import annotations

import io
import os
import pathlib
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image


def photograph(seed: int = 0, size: tuple[int, int] = (48, 64)) -> Image.Image:
    """A picture that no compression makes tiny."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    """An image file."""
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    """A chunk of a PNG file, with the right checksum unless another is given."""
    checksum = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(width: int, height: int, stream: bytes, checksum: int | None = None) -> bytes:
    """An RGB PNG file with any compressed stream as its pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", stream, checksum)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def _zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "a")
    return buffer.getvalue()


def _garbage_in_the_scan() -> bytes:
    content = bytearray(encoded(photograph(), "JPEG"))
    middle = len(content) * 2 // 3
    content[middle : middle + 400] = b"\xff\x37garbage!" * 40
    return bytes(content)


def _cut(kind: str, share: float = 0.6, **options) -> bytes:
    content = encoded(photograph(), kind, **options)
    return content[: int(len(content) * share)]


_ROWS = zlib.compress(bytes(4 * 13))  # 4 rows of 4 pixels.
_GREY = np.linspace(-3, 1200, 64).reshape(8, 8)

BROKEN: dict[str, tuple[bytes, str]] = {
    "empty.jpg": (b"", "the file is empty"),
    "zeros.jpg": (bytes(5000), "holds zeros instead of an image"),
    "text.jpg": (b"I was an image once.\n", "a text, .* begins with 'I was an image once"),
    "page.jpg": (b"\n<!DOCTYPE html><html>404</html>", "a web page .HTML., .*download may have"),
    "archive.jpg": (_zipped(), "a zip archive"),
    "document.jpg": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document, .* convert it to"),
    "video.jpg": (b"\0\0\0\x18ftypisom\0\0\2\0isommp42" + bytes(50), "a video"),
    "placeholder.jpg": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
        "git lfs pull",
    ),
    "random.jpg": (np.random.default_rng(1).bytes(4000), "no image of a known kind: it begins"),
    "cut.jpg": (_cut("JPEG"), "the JPEG file is cut short"),
    "cut_progressive.jpg": (_cut("JPEG", progressive=True), "the JPEG file is cut short"),
    "header.jpg": (encoded(photograph(), "JPEG")[:20], "a damaged JPEG file"),
    "garbage.jpg": (_garbage_in_the_scan(), "the JPEG file is damaged .broken data stream"),
    "cut.png": (_cut("PNG"), "the PNG file is cut short"),
    "checksum.png": (png(4, 4, _ROWS, checksum=7), "the PNG file is damaged .a wrong checksum"),
    "stream.png": (png(4, 4, b"no zlib stream"), "the PNG file is damaged"),
    "no_size.png": (png(0, 4, _ROWS), "a damaged PNG file"),
    "bomb.png": (png(30_000, 20_000, _ROWS), "600,000,000 pixels, and 178,956,970 are the most"),
    "cut.gif": (_cut("GIF"), "the GIF file is cut short"),
    "cut.webp": (_cut("WEBP"), "(?i)damaged WebP file|WebP file is damaged"),
    "cut.tif": (_cut("TIFF"), "the TIFF file is cut short"),
    "cut.bmp": (_cut("BMP"), "the BMP file is cut short"),
    "cut.ppm": (_cut("PPM"), "the PPM file is cut short"),
    "cut.jp2": (_cut("JPEG2000"), "the JPEG2000 file is damaged"),
    "photo.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50), "a HEIC photo.* convert"),
    "drawing.svg": (
        b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
        "an SVG drawing, .* convert it to JPEG or PNG",
    ),
    "picture.jxl": (b"\xff\x0a" + bytes(range(90)), "a JPEG XL picture"),
    "layers.psd": (b"8BPS\0\1" + bytes(90), "a Photoshop document"),
    "drawing.tif": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript drawing"),
    "floats.tif": (
        encoded(Image.fromarray(_GREY.astype(np.float32)), "TIFF"),
        "floating-point numbers from -3 to 1200, not 0 to 1",
    ),
    "numbers.tif": (
        encoded(Image.fromarray((_GREY * 1000).astype(np.int32)), "TIFF"),
        r"whole numbers from -3000 to 1.2e\+06, not 0 to 65535",
    ),
}
"""Contents that no image can be made of: by name the bytes, and a pattern of the reason."""


def make(folder: pathlib.Path) -> dict[str, str]:
    """Writes all broken files into a folder, and things that are no files.

    Returns:
      For each name what is said about it, a regular expression.
    """
    folder.mkdir(parents=True, exist_ok=True)
    reasons = {}
    for name, (content, reason) in BROKEN.items():
        (folder / name).write_bytes(content)
        reasons[name] = reason
    (folder / "link.jpg").symlink_to("not_there.jpg")
    reasons["link.jpg"] = "it is a link to not_there.jpg, which is not there"
    (folder / "circle.jpg").symlink_to("circle.jpg")
    reasons["circle.jpg"] = "cannot be read .*(symbolic links|link)"
    (folder / "folder.jpg").mkdir()
    reasons["folder.jpg"] = "it is a folder"
    os.mkfifo(folder / "pipe.jpg")
    reasons["pipe.jpg"] = "it is no ordinary file"
    if os.geteuid():  # root may read everything.
        (folder / "locked.jpg").write_bytes(b"")
        (folder / "locked.jpg").chmod(0)
        reasons["locked.jpg"] = "there is no permission to read it"
    return reasons
