"""Image files of every mode become uint8 RGB."""

from __future__ import annotations

import io

import numpy as np
import pytest
from fake_tfds import png
from PIL import Image

from vp_jax.data.decode import decode_image

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def test_rgb_is_exact():
    decoded = decode_image(png(RGB))
    np.testing.assert_array_equal(decoded, RGB)
    assert decoded.dtype == np.uint8 and decoded.flags.writeable


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_png_modes(mode):
    assert decode_image(png(RGB, mode)).shape == RGB.shape


def test_transparency_is_dropped():
    rgba = np.concatenate([RGB, np.zeros_like(RGB[..., :1])], axis=-1)
    np.testing.assert_array_equal(decode_image(png(rgba)), RGB)


def test_16_bits_are_scaled():
    grey = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    np.testing.assert_array_equal(decode_image(png(grey))[0, :, 0], [0, 0, 1, 128, 255])


def test_cmyk_jpeg():
    buffer = io.BytesIO()
    Image.fromarray(RGB).convert("CMYK").save(buffer, format="JPEG")
    assert decode_image(buffer.getvalue()).shape == RGB.shape


def test_exif_orientation_is_not_applied():
    image = Image.fromarray(RGB)
    exif = image.getexif()
    exif[0x0112] = 6  # Turned by 90 degrees.
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", exif=exif)
    assert decode_image(buffer.getvalue()).shape == RGB.shape


def test_damaged_files():
    for encoded in (b"", b"no image", png(RGB)[:-30], png(RGB)[:20]):
        with pytest.raises(Exception):  # noqa: B017 (no common type)
            decode_image(encoded)
