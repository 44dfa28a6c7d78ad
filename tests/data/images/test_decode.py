"""Image files of every kind and mode become uint8 RGB; broken ones are in test_broken_files."""

from __future__ import annotations

import io
import struct
import sys
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from broken_files import chunk, encoded
from fake_tfds import png
from PIL import Image
from tiff_files import tiff

from vp_jax.data.files.file_kinds import describe
from vp_jax.data.images import decode
from vp_jax.data.images.decode import CorruptImage, decode_image

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY16 = np.array([[0, 255, 256, 257], [32767, 32768, 65280, 65535]], np.uint16)
UPPER = np.array([[0, 0, 1, 1], [127, 128, 255, 255]])


def decoded(image, kind, **options):
    return decode_image(encoded(image, kind, **options))


def picture(size=(40, 56)):
    """A smooth picture, which lossy compression keeps, without any symmetry."""
    down, right = np.mgrid[0 : size[0], 0 : size[1]]
    planes = [down * 5, right * 4, 30 + down + right]
    return np.stack(planes, axis=-1).clip(0, 255).astype(np.uint8)


def test_rgb_is_exact():
    result = decode_image(png(RGB))
    np.testing.assert_array_equal(result, RGB)
    assert result.dtype == np.uint8 and result.flags.writeable


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "TGA", "PPM", "DIB"])
def test_lossless_kinds_are_exact(kind):
    np.testing.assert_array_equal(decoded(Image.fromarray(RGB), kind), RGB)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "JPEG2000", "GIF", "AVIF"])
def test_lossy_kinds_are_near(kind):
    if kind not in decode._formats():
        pytest.skip(f"this Pillow has no {kind}")
    error = np.abs(decoded(Image.fromarray(picture()), kind).astype(int) - picture())
    assert error.mean() < 8


@pytest.mark.parametrize("options", [{"progressive": True}, {"optimize": True}, {"subsampling": 2}])
def test_jpeg_is_decoded_in_full(options):
    content = encoded(Image.fromarray(picture((300, 400))), "JPEG", **options)
    np.testing.assert_array_equal(
        decode_image(content), np.asarray(Image.open(io.BytesIO(content)))
    )


def test_grey_jpeg():
    result = decoded(Image.fromarray(picture()[..., 0]), "JPEG", quality=95)
    assert (result == result[..., :1]).all()
    assert np.abs(result[..., 0].astype(int) - picture()[..., 0]).max() < 10


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "GIF"])
def test_modes(mode, kind):
    image = Image.fromarray(RGB).convert(mode)
    expected = np.asarray(image.convert("RGB"))
    if (mode, kind) == ("RGBA", "GIF"):  # Colours are reduced.
        assert decoded(image, kind).shape == RGB.shape
    else:
        np.testing.assert_array_equal(decoded(image, kind), expected)


@pytest.mark.parametrize("alpha", [0, 1, 128, 255])
def test_transparency_is_dropped(alpha):
    rgba = np.concatenate([RGB, np.full_like(RGB[..., :1], alpha)], axis=-1)
    np.testing.assert_array_equal(decode_image(png(rgba)), RGB)
    la = np.stack([RGB[..., 0], np.full_like(RGB[..., 0], alpha)], axis=-1)
    np.testing.assert_array_equal(decode_image(png(la)), np.repeat(RGB[..., :1], 3, axis=-1))


@pytest.mark.parametrize("transparency", [None, 1, b"\0\x80\xff"])
def test_palettes_with_and_without_transparency(transparency):
    palette = Image.fromarray(np.array([[0, 1, 2, 3]], np.uint8))
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    options = {} if transparency is None else {"transparency": transparency}
    result = decoded(palette, "PNG", **options)
    np.testing.assert_array_equal(result[0], np.arange(10, 121, 10).reshape(4, 3))


def test_grey_with_a_transparent_level():
    result = decoded(Image.fromarray(RGB[..., 0]), "PNG", transparency=int(RGB[0, 0, 0]))
    np.testing.assert_array_equal(result, np.repeat(RGB[..., :1], 3, axis=-1))


# More than 8 bits.


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_the_upper_8_bits(kind):
    result = decoded(Image.fromarray(GREY16), kind)
    np.testing.assert_array_equal(result, np.repeat(UPPER[..., None], 3, axis=-1))


def test_16_bit_grey_of_either_byte_order():
    for order in "<>":
        np.testing.assert_array_equal(decode_image(tiff(GREY16, order=order))[..., 0], UPPER)


def test_16_bit_rgb():
    deep = np.stack([GREY16, GREY16[::-1], GREY16[:, ::-1]], axis=-1)
    expected = np.stack([UPPER, UPPER[::-1], UPPER[:, ::-1]], axis=-1)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    header = struct.pack(">IIBBBBB", 4, 2, 16, 2, 0, 0, 0)
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    file += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(decode_image(file), expected)
    for order in "<>":
        np.testing.assert_array_equal(decode_image(tiff(deep, order=order)), expected)


def test_whole_numbers_of_32_bits_that_fit_16():
    result = decoded(Image.fromarray(GREY16.astype(np.int32)), "TIFF")
    np.testing.assert_array_equal(result[..., 0], UPPER)


def test_floating_point_in_0_to_1():
    values = np.array([[0, 0.25, 0.5, 1.0]], np.float32)
    result = decoded(Image.fromarray(values), "TIFF")
    np.testing.assert_array_equal(result[0, :, 1], [0, 64, 128, 255])


@pytest.mark.parametrize("value", [-0.1, 1.5, 200.0, float("nan"), float("inf")])
def test_floating_point_beyond(value):
    with pytest.raises(CorruptImage, match=r"floating-point numbers from .* save it with 8"):
        decoded(Image.fromarray(np.array([[0, value]], np.float32)), "TIFF")


# CMYK and YCbCr.


def test_cmyk_jpeg():
    image = Image.fromarray(picture())
    result = decoded(image.convert("CMYK"), "JPEG", quality=95)
    assert np.abs(result.astype(int) - picture()).mean() < 4  # Not its negative.


def test_every_cmyk_jpeg_is_taken_for_adobes():
    content = encoded(Image.new("CMYK", (16, 16), (0, 0, 0, 0)), "JPEG")
    start = content.index(b"\xff\xee")
    end = start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")
    assert decode_image(content).min() > 250
    assert decode_image(content[:start] + content[end:]).min() > 250


def test_cmyk_tiff_is_exact():
    np.testing.assert_array_equal(decoded(Image.fromarray(RGB).convert("CMYK"), "TIFF"), RGB)


def test_ycbcr_and_lab():
    image = Image.fromarray(picture())
    result = decoded(image.convert("YCbCr"), "JPEG", quality=95)
    assert np.abs(result.astype(int) - picture()).max() < 12
    grey = decoded(Image.new("LAB", (3, 3), (128, 128, 128)), "TIFF")
    assert grey.shape == (3, 3, 3)


# Several pictures in one file.


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame(kind):
    frames = [Image.new("RGB", (8, 6), colour) for colour in ((250, 0, 0), (0, 250, 0))]
    result = decoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert result.shape == (6, 8, 3)
    assert result[..., 0].min() > 240 and result[..., 1].max() < 12


# EXIF.

TURNED = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}
"""What EXIF's orientations say to do with the stored pixels."""


def with_orientation(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(
        Image.fromarray(RGB), kind, exif=exif, **({"quality": 100} if kind == "JPEG" else {})
    )


@pytest.mark.parametrize("orientation", [*TURNED, 0, 9])
def test_exif_orientation(orientation):
    turn = TURNED.get(orientation, TURNED[1])
    for kind in ("JPEG", "PNG"):
        content = with_orientation(orientation, kind)
        stored = decode_image(content)
        assert stored.shape == RGB.shape
        upright = decode_image(content, upright=True)
        np.testing.assert_array_equal(upright, turn(stored))
        assert upright.flags.c_contiguous
    np.testing.assert_array_equal(stored, RGB)
    tiff_file = with_orientation(orientation, "TIFF")
    np.testing.assert_array_equal(decode_image(tiff_file, upright=True), turn(RGB))


@pytest.mark.parametrize("mode", ["P", "I;16", "L", "CMYK"])
def test_exif_orientation_of_other_modes(mode):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(GREY16) if mode == "I;16" else Image.fromarray(RGB).convert(mode)
    content = encoded(image, "JPEG" if mode == "CMYK" else "PNG", exif=exif)
    np.testing.assert_array_equal(
        decode_image(content, upright=True), np.rot90(decode_image(content), -1)
    )


def test_damaged_exif_says_nothing():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.fromarray(RGB), "JPEG", exif=exif)
    start = content.index(b"Exif\0\0")
    for damaged in (b"\xff" * 20, b"II*\0" + b"\xff" * 16):
        broken = content[: start + 6] + damaged + content[start + 6 + len(damaged) :]
        np.testing.assert_array_equal(decode_image(broken, upright=True), decode_image(broken))


# Sizes.


def test_one_pixel():
    for kind in ("PNG", "JPEG", "GIF", "TIFF"):
        assert decoded(Image.new("RGB", (1, 1)), kind).shape == (1, 1, 3)


def test_a_very_long_image():
    assert decoded(Image.new("RGB", (20_000, 1), "red"), "PNG").shape == (1, 20_000, 3)


@pytest.mark.slow
def test_large_images_are_decoded_without_a_warning():
    """Pillow warns from 89 million pixels on."""
    content = encoded(Image.new("1", (10_000, 9_000)), "PNG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode_image(content).shape == (9_000, 10_000, 3)


def test_larger_ones_are_refused_before_memory_is_taken(monkeypatch):
    content = encoded(Image.new("1", (20_000, 9_000)), "PNG")
    tracemalloc.start()
    with pytest.raises(CorruptImage, match=r"180,000,000 pixels, and 178,956,970 are the most"):
        decode_image(content)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # Whatever others set there.
    with pytest.raises(CorruptImage, match=r"20,000 x 9,000 pixels, and 178,956,970 are"):
        decode_image(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6


def test_no_program_is_started_for_postscript(monkeypatch):
    """Pillow would call Ghostscript."""
    monkeypatch.setattr("subprocess.Popen", lambda *args, **kwargs: sys.exit("started a program"))
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    with pytest.raises(CorruptImage, match="a PostScript drawing"):
        decode_image(eps)


def test_the_name_does_not_matter():
    """Only bytes are given, so a PNG file called .jpg is fine."""
    np.testing.assert_array_equal(decode_image(png(RGB)), RGB)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf<html></html>", "a web page"),
        ("<?xml version='1.0'?><note>ä</note>".encode(), "an XML text"),
        (("ä" * 2000).encode(), "a text"),
        (b"a" + ("ä" * 2000).encode(), "a text"),  # Cut within a character.
        (b"\x1f\x8b\x08rest", "gzip"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "an AVIF picture"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf", "a HEIF photograph"),
        (b"RIFF\0\0\0\0WAVEfmt ", "a sound or video"),
        (b"\xff\xff\xff\xffftypheic", "a HEIC photograph"),
        (b"\x80\x81\x82", "begins with 80 81 82"),
    ],
)
def test_what_a_file_is(content, words):
    assert words in describe(content)
