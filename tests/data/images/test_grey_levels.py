"""Which number is white in a grey image: the one that its file declares, never its brightest."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from broken_files import chunk, encoded
from PIL import Image
from tiff_files import tiff

from vp_jax.data.images.decode import CorruptImage, decode_image
from vp_jax.data.images.grey_levels import WiderRange

EIGHT = np.array([[0, 1, 100, 128], [200, 254, 255, 7]], np.uint8)
SIXTEEN = EIGHT.astype(np.uint16) * 257


def grey(content, **kwargs):
    pixels = decode_image(content, **kwargs)
    assert (pixels == pixels[..., :1]).all() and pixels.dtype == np.uint8
    return pixels[..., 0]


@pytest.mark.parametrize("dtype", [np.int32, np.uint32])
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_whole_numbers_of_32_bits_that_fit_8(dtype, compression):
    content = tiff(EIGHT.astype(dtype), sample_format=1 if dtype == np.uint32 else 2)
    if compression:
        content = encoded(Image.fromarray(EIGHT.astype(np.int32)), "TIFF", compression=compression)
    np.testing.assert_array_equal(grey(content), EIGHT)


def test_whole_numbers_of_32_bits_beyond_8():
    content = tiff(SIXTEEN.astype(np.uint32), sample_format=1)
    np.testing.assert_array_equal(grey(content), EIGHT)
    np.testing.assert_array_equal(grey(content, white=65535), EIGHT)
    with pytest.raises(WiderRange, match=r"up to 65535, and 255 was white in the images before"):
        decode_image(content, white=255)
    dark = tiff(EIGHT.astype(np.uint32), sample_format=1)
    assert grey(dark, white=65535).max() == 0  # As dark as others say that it is.


@pytest.mark.parametrize("values", [[0, -1], [0, 65536], [0, 2**31 - 1]])
def test_whole_numbers_that_cannot_be_known(values):
    with pytest.raises(CorruptImage, match=r"whole numbers from .* not 0 to 65535: nothing says"):
        decode_image(tiff(np.array([values], np.int32), sample_format=2))


def test_unsigned_numbers_are_not_called_negative():
    with pytest.raises(CorruptImage, match="from 0 to 4.29497e"):
        decode_image(tiff(np.array([[0, 2**32 - 1]], np.uint32), sample_format=1))


def test_twelve_bits_declared():
    values = np.array([[0, 16, 2048, 4095], [255, 256, 1, 4080]], np.uint16)
    np.testing.assert_array_equal(grey(tiff(values, bits=12)), values >> 4)


def test_twelve_bits_in_sixteen_are_not_stretched():
    """The same number is as bright in each image, whatever else is in it."""
    for high in (200, 4095, 65535):
        content = encoded(Image.fromarray(np.array([[0, 200, high]], np.uint16)), "PNG")
        assert grey(content)[0].tolist() == [0, 0, high >> 8]


@pytest.mark.parametrize("tags", [{280: 0, 281: 4095}, {340: 0, 341: 4095}])
def test_the_greatest_number_of_an_image_is_not_white(tags):
    values = np.array([[0, 4095]], np.uint16)
    assert grey(tiff(values, more=tags))[0].tolist() == [0, 15]


def test_significant_bits_of_a_png_change_nothing():
    """Numbers are scaled to all 16 bits, says the standard, however many of them are exact."""
    values = np.array([[0, 0x8000, 0xFFFF]], np.uint16)
    content = encoded(Image.fromarray(values), "PNG")
    end = 8 + 12 + 13
    content = content[:end] + chunk(b"sBIT", struct.pack(">B", 12)) + content[end:]
    assert grey(content)[0].tolist() == [0, 128, 255]


def test_signed_numbers():
    halves = np.array([[0, 128, 32767]], np.int16)
    assert grey(tiff(halves, sample_format=2))[0].tolist() == [0, 1, 255]
    bytes_ = np.array([[0, 64, 127]], np.int8)
    assert grey(tiff(bytes_, sample_format=2))[0].tolist() == [0, 128, 255]
    for dtype in (np.int8, np.int16):
        with pytest.raises(CorruptImage, match="whole numbers from -1 to 5, not 0 to"):
            decode_image(tiff(np.array([[-1, 5]], dtype), sample_format=2))


@pytest.mark.parametrize("white", [1, 15, 100, 255, 1023, 4095, 65535])
def test_pgm_and_ppm_declare_white(white):
    values = np.array([0, white // 2, white])
    stored = values.astype(">u2" if white > 255 else "u1")
    for kind, channels in ((b"P5", 1), (b"P6", 3)):
        content = kind + f"\n3 1\n{white}\n".encode() + np.repeat(stored, channels).tobytes()
        assert np.abs(grey(content)[0] - values / white * 255).max() <= 1


@pytest.mark.parametrize("order", "<>")
def test_white_may_be_zero(order):
    floats = np.array([[0, 0.25, 1]], np.float32)
    result = grey(tiff(floats, order=order, photometric=0, sample_format=3))
    assert result[0].tolist() == [255, 191, 0]
    np.testing.assert_array_equal(grey(tiff(EIGHT, order=order, photometric=0)), 255 - EIGHT)
    if order == "<":  # Pillow reads no others.
        np.testing.assert_array_equal(grey(tiff(SIXTEEN, photometric=0)), 255 - EIGHT)


def test_white_may_be_zero_where_the_image_is_turned():
    content = tiff(SIXTEEN, photometric=0, more={274: 6})
    expected = np.rot90(255 - EIGHT, -1)
    np.testing.assert_array_equal(grey(content, upright=True), expected)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits(bits):
    count = 8 // bits
    values = np.arange(count) % (1 << bits)
    row = int("".join(f"{value:0{bits}b}" for value in values), 2)
    header = struct.pack(">IIBBBBB", count, 1, bits, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    content += chunk(b"IDAT", zlib.compress(bytes([0, row]))) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(grey(content)[0], values * 255 // ((1 << bits) - 1))


def test_jpeg_of_twelve_bits():
    """Pillow reads 8 bits; the file says that it has others, so it is not damaged."""
    content = bytearray(encoded(Image.fromarray(EIGHT), "JPEG"))
    content[content.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(CorruptImage, match=r"a JPEG file of 12 bits, .* convert it to JPEG or PNG"):
        decode_image(bytes(content))
