"""Datasets that use a sliver of their range are named once; one dataset has one range."""

from __future__ import annotations

import cloudpickle
import numpy as np
import pytest
from absl import logging
from broken_files import encoded
from PIL import Image

from vp_jax.data.images import brightness
from vp_jax.data.images.brightness import Levels, Span
from vp_jax.data.images.preprocess import ResizeRule
from vp_jax.data.load import load_task
from vp_jax.errors import UserError

COUNT = 8
PIPELINES = ("resident", "cached", "stream")


def write(root, images, kind="PNG"):
    """A folder of two classes with these images, half of them each."""
    for number, image in enumerate(images):
        folder = root / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        content = encoded(Image.fromarray(image), kind)
        (folder / f"{number:03}.{kind.lower()}").write_bytes(content)
    return root


def noise(low, high, dtype, count=COUNT, size=(9, 7)):
    rng = np.random.default_rng(0)
    return [rng.integers(low, high, size, endpoint=True).astype(dtype) for _ in range(count)]


@pytest.fixture
def warnings(monkeypatch):
    found = []
    monkeypatch.setattr(logging, "warning", lambda text, *args: found.append(text % args))
    return found


def load(root, pipeline="resident", task="folder", **more):
    cache = root.parent / "cache" if pipeline == "cached" else None
    return load_task(
        task,
        data_dir=root,
        resize=ResizeRule(16),
        progress=False,
        pipeline=pipeline,
        cache_dir=cache,
        **more,
    )


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_twelve_bits_in_sixteen_are_named_once(tmp_path, warnings, pipeline):
    root = write(tmp_path / "x", noise(0, 4095, np.uint16))
    for start in (1, 2):  # The second one finds the entry of the cache.
        load(root, pipeline)
        assert len(warnings) == start
        assert "The 8 images of 'folder' lie between the levels 0 and 15 of 0 (b" in warnings[-1]
        assert "save them so that white is 255 in 8 bits, or 65535 in 16" in warnings[-1]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 16), (100, 163)])
def test_slivers_of_eight_bits(tmp_path, warnings, low, high):
    load(write(tmp_path / "x", noise(low, high, np.uint8)))
    assert len(warnings) == 1 and f"between the levels {low} and {high}" in warnings[0]


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_one_bright_image_is_enough(tmp_path, warnings, pipeline):
    images = noise(0, 3, np.uint8)
    images[5] = noise(0, 255, np.uint8, 1)[0]
    load(write(tmp_path / "x", images), pipeline)
    assert not warnings


def test_what_is_left_out_does_not_count(tmp_path, warnings):
    root = write(tmp_path / "x", noise(0, 255, np.uint16))
    (root / "a/none.png").write_bytes(b"no image")
    load(root, skip_corrupt=True)
    assert any("The 8 images of 'folder' lie between the levels 0 and 0" in w for w in warnings)


def test_of_a_stream_some_images_are_looked_at(tmp_path, warnings):
    root = write(tmp_path / "x", noise(0, 9, np.uint8, 80, (2, 2)))
    load(root, "stream")
    assert len(warnings) == 1
    assert "The 64 images of 'folder' that were looked at lie between" in warnings[0]


def test_arrays(tmp_path, warnings):
    images = np.stack(noise(0, 1, np.uint8))
    target = np.arange(COUNT) % 2
    content = {"train_data": images, "test_data": images, "class_names": np.array(["a", "b"])}
    np.savez(tmp_path / "x.npz", **content, train_target=target, test_target=target)
    for pipeline in PIPELINES:
        load(tmp_path / "x.npz", pipeline, "npz")
        assert "The 16 images of 'npz' lie between the levels 0 and 1" in warnings.pop()
        assert not warnings


# Whole numbers of 32 bits.


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize(("high", "shift"), [(255, 0), (65535, 8)])
def test_one_range_for_all_images(tmp_path, warnings, pipeline, high, shift):
    images = noise(0, high, np.int32)
    data = load(write(tmp_path / "x", images, "TIFF"), pipeline, val_fraction=0)
    decode = cloudpickle.loads(cloudpickle.dumps(data.train.images))
    found = {decode[i][..., 0].tobytes() for i in range(len(data.train))}
    found |= {data.test.images[i][..., 0].tobytes() for i in range(len(data.test))}
    small = {np.asarray(resized(image >> shift)).tobytes() for image in images}
    assert found in (small, {(image >> shift).astype(np.uint8).tobytes() for image in images})
    assert not warnings


def resized(image):
    """What the loader makes of a grey image for a model of 16 x 16."""
    from vp_jax.data.images.host_preprocess import preprocess_one

    rgb = np.repeat(image.astype(np.uint8)[..., None], 3, axis=-1)
    return np.ascontiguousarray(preprocess_one(rgb, ResizeRule(16))[..., 0])


@pytest.mark.parametrize("pipeline", ["resident", "cached"])
def test_the_brightest_image_settles_the_range(tmp_path, pipeline):
    images = noise(0, 65535, np.int32)
    images[0][:] = images[6][:] = 200  # Nearly black, wherever it is in the order.
    data = load(write(tmp_path / "x", images, "TIFF"), pipeline, val_fraction=0)
    everything = np.concatenate([data.train.images[:], data.test.images[:]])
    assert sorted(image.max() == 0 for image in everything) == [False] * 6 + [True] * 2


def test_a_stream_refuses_what_it_took_for_something_else(tmp_path):
    images = noise(0, 255, np.int32, 4)
    images[3][:] = 4000
    root = write(tmp_path / "x", images, "TIFF")
    data = load(root, "stream", val_fraction=0)
    with pytest.raises(UserError, match=r"003\.tiff\).* 32 bits up to 4000, and 255 was white in"):
        for split in data.splits:
            split.images[np.arange(len(split))]
    assert load(root, "stream", skip_corrupt=True).skipped == 1


# The parts.


def test_a_span_grows_until_it_is_wide():
    span = Span()
    assert span.levels(0) is None
    for level in (9, 3, 66):
        span.add(np.full((2, 2, 3), level, np.uint8))
        assert not span.is_wide
    assert span.levels(3) == Levels(3, 66, 3)
    span.add(np.full(3, 67, np.uint8))
    assert span.is_wide and span.levels(4) == Levels(3, 67, 4)
    span.add(np.full(3, 255, np.uint8))
    assert span.levels(5).high == 67


@pytest.mark.parametrize(("levels", "is_one"), [((0, 63, 5), True), ((0, 64, 5), False)])
def test_what_a_sliver_is(levels, is_one):
    assert (brightness.warning("x", Levels(*levels), 5) is not None) == is_one
    assert brightness.warning("x", None, 5) is None
