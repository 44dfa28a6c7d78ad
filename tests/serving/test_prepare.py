"""Files of strangers: what they are is found out before they are decoded."""

import io
import time

import numpy as np
import pytest
from clients import huge, picture
from PIL import Image

from vp_jax.data.images.decode import decode_image
from vp_jax.data.images.host_preprocess import preprocess_one
from vp_jax.data.images.resize_rule import ResizeRule
from vp_jax.errors import UserError
from vp_jax.serving.prepare import MOST_SCANS, prepared
from vp_jax.serving.uploads import Upload

RULES = (ResizeRule(16), ResizeRule(8))


def error(content, name="a.png", most=10_000):
    found = prepared(Upload(name, content), RULES, False, most)
    assert isinstance(found, UserError)
    return str(found)


def test_an_image_is_what_the_decoder_makes_of_it():
    content = picture()
    found = prepared(Upload("a.png", content), RULES, False, 1200)
    for one, rule in zip(found, RULES, strict=True):
        np.testing.assert_array_equal(one, preprocess_one(decode_image(content), rule))


def test_a_bomb_is_refused_by_its_header():
    bomb = huge(12_000, 12_000)
    assert len(bomb) < 200_000
    began = time.perf_counter()
    assert "12,000 x 12,000 pixels, and 10,000 are the most" in error(bomb)
    assert time.perf_counter() - began < 0.2  # It takes a second to decode.


def test_one_pixel_too_many():
    assert "1,199 are the most" in error(picture(), most=1199)


def test_a_jpeg_of_many_scans_is_refused():
    file = io.BytesIO()
    Image.new("L", (64, 64)).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    assert not isinstance(prepared(Upload("a", content), RULES, False, 10_000), UserError)
    start = content.index(b"\xff\xda")
    scan = content[start : content.index(b"\xff\xc4", start)]
    many = content[:start] + scan * MOST_SCANS + content[start:]
    assert "scans" in error(many)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"../../etc/passwd", "a text"),
        (b"http://127.0.0.1:9/image.png", "a text"),
        (
            b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
            "SVG",
        ),
        (picture()[:200], "a.png"),
    ],
)
def test_nothing_is_fetched_and_the_reason_names_the_file(content, words):
    assert words in error(content) and "a.png" in error(content)


def test_a_name_is_no_path(tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture())
    assert "a text" in error(b"no image", name=str(secret))
