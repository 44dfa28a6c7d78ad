"""Augmentation: exact where it can be, within range, reproducible, compiled once."""

from __future__ import annotations

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax.data import augment as augment_lib
from vp_jax.data.augment import geometry, make_augment, mixing
from vp_jax.errors import UserError

KEY = jax.random.key(0)
KINDS = (
    {"flip": True},
    {"crop_scale": 0.3},
    {"color_jitter": (0.4, 0.4, 0.4, 0.1)},
    {"policy": "trivialaugment"},
    {"flip": True, "crop_scale": 0.5, "color_jitter": 0.4, "policy": "randaugment"},
)
every_kind = pytest.mark.parametrize("settings", KINDS, ids=lambda x: ",".join(map(str, x)))


def noise(count, size=16, dtype=np.float32):
    return np.random.default_rng(0).uniform(size=(count, size, size, 3)).astype(dtype)


def ramps(count, size):
    """Images whose first two channels are the row and the column of a pixel's centre, in [0, 1]."""
    rows, columns = (np.mgrid[0:size, 0:size] + 0.5) / size
    return np.tile(np.stack([rows, columns, rows], -1).astype(np.float32), (count, 1, 1, 1))


def test_off():
    assert make_augment() is None
    assert make_augment(randaugment_ops=3, randaugment_magnitude=20) is None
    assert make_augment(color_jitter=(0.0, 0.0, 0.0, 0.0)) is None


def test_flips_are_exact_mirror_images_of_about_half():
    images = noise(400, 8)
    result = np.asarray(make_augment(flip=True, crop_scale=1.0)(KEY, images))
    same = (result == images).all(axis=(1, 2, 3))
    mirrored = (result == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert np.all(same ^ mirrored) and 160 < mirrored.sum() < 240


@pytest.mark.parametrize("crop_scale", [0.08, 0.5, 0.99])
def test_boxes(crop_scale):
    corners, sizes = map(np.asarray, geometry.draw_boxes(KEY, 20_000, crop_scale))
    assert np.all(corners >= 0) and np.all(corners + sizes <= 1 + 1e-6) and np.all(sizes <= 1)
    area = sizes.prod(axis=1)
    assert area.min() > crop_scale - 1e-5 and area.max() < 1 + 1e-5
    deciles = np.quantile(area, np.linspace(0.1, 0.9, 9))
    uniform = crop_scale + (1 - crop_scale) * np.linspace(0.1, 0.9, 9)
    np.testing.assert_allclose(deciles, uniform, atol=0.02 * (1 - crop_scale))
    aspect = np.log(sizes[:, 1] / sizes[:, 0])
    assert np.all(np.abs(aspect) <= np.log(4 / 3) + 1e-5) and abs(aspect.mean()) < 0.01
    free = area < 3 / 4  # No aspect ratio is clipped there.
    if free.any():
        quartiles = np.quantile(aspect[free], [0.25, 0.5, 0.75])
        np.testing.assert_allclose(quartiles, np.log(4 / 3) * np.array([-0.5, 0, 0.5]), atol=0.02)
    room = 1 - sizes
    place = (corners / np.where(room > 1e-3, room, 1))[room > 1e-3]
    np.testing.assert_allclose(np.quantile(place, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.02)


@pytest.mark.slow
def test_crops_of_ramps_are_ramps_over_the_box():
    size = 32
    augment = make_augment(flip=False, crop_scale=0.2)
    result = np.asarray(augment(KEY, ramps(50, size)))
    _, crop_key = jax.random.split(KEY)
    corners, sizes = map(np.asarray, geometry.draw_boxes(crop_key, 50, 0.2))
    centres = (np.arange(size) + 0.5) / size
    inside = [0.5 / size, 1 - 0.5 / size]  # Beyond the outermost centres an image is constant.
    for image, corner, extent in zip(result, corners, sizes, strict=True):
        rows, columns = (np.clip(corner[i] + extent[i] * centres, *inside) for i in (0, 1))
        np.testing.assert_allclose(image[..., 0], np.tile(rows[:, None], (1, size)), atol=1e-5)
        np.testing.assert_allclose(image[..., 1], np.tile(columns, (size, 1)), atol=1e-5)


@pytest.mark.slow
def test_flips_and_crops_keep_constants():
    augment = make_augment(flip=True, crop_scale=0.08)
    for value in (0.0, 0.3, 1.0):
        constant = np.full((8, 16, 16, 3), value, np.float32)
        np.testing.assert_allclose(augment(KEY, constant), constant, atol=1e-6)


@every_kind
def test_one_program_whose_key_decides_everything(settings):
    augment = jax.jit(make_augment(**settings))
    images = noise(8)
    first, again, other = (np.asarray(augment(jax.random.key(seed), images)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    same = np.asarray(augment(KEY, np.tile(images[:1], (8, 1, 1, 1))))
    different = len({image.tobytes() for image in same})
    assert different == 2 if settings == {"flip": True} else different > 4  # Each draws for itself.
    extreme = np.asarray(augment(KEY, (images > 0.5).astype(np.float32)))
    for result in (first, other, same, extreme):
        assert result.shape == images.shape and result.min() >= 0 and result.max() <= 1
    assert augment._cache_size() == 1


@pytest.mark.slow
@every_kind
def test_first_images_do_not_depend_on_how_many_follow(settings):
    augment = jax.jit(make_augment(**settings))
    images = noise(8)
    few, many = augment(KEY, images[:5]), augment(KEY, images)
    np.testing.assert_allclose(many[:5], few, atol=1e-6)


@every_kind
def test_dtype_is_kept(settings):
    images = jax.ShapeDtypeStruct((2, 16, 16, 3), jnp.bfloat16)
    result = jax.eval_shape(make_augment(**settings), KEY, images)
    assert (result.dtype, result.shape) == (images.dtype, images.shape)


@pytest.mark.parametrize("crop_scale", [0.0, -0.5, 1.01, float("nan")])
def test_bad_crop_scale(crop_scale):
    with pytest.raises(UserError, match=r"crop_scale is .*; it must be in \(0, 1\]"):
        make_augment(flip=False, crop_scale=crop_scale)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"color_jitter": -0.1}, "color_jitter is -0.1; it must be one number"),
        ({"color_jitter": float("nan")}, "color_jitter is nan"),
        ({"color_jitter": True}, "color_jitter is True"),
        ({"color_jitter": "strong"}, "color_jitter is 'strong'"),
        ({"color_jitter": ("a", "b", "c", "d")}, "color_jitter is"),
        ({"color_jitter": (0.1, 0.1, 0.1)}, r"color_jitter is \(0.1, 0.1, 0.1\)"),
        ({"color_jitter": (0.1, 0.1, 0.1, 0.6)}, "hue at most 0.5"),
        ({"policy": "randaugmnet"}, "unknown augmentation policy.*did you mean 'randaugment'"),
        ({"policy": None}, "unknown augmentation policy None"),
        ({"policy": "randaugment", "randaugment_ops": 0}, "randaugment_ops is 0; .*at least 1"),
        ({"randaugment_magnitude": 31}, "randaugment_magnitude is 31; .*0 to 30"),
        ({"randaugment_magnitude": -1}, "randaugment_magnitude is -1"),
        ({"randaugment_magnitude": 9.5}, "randaugment_magnitude is 9.5; .*a whole number"),
    ],
    ids=str,
)
def test_bad_settings(settings, words):
    with pytest.raises(UserError, match=words):
        make_augment(**settings)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros((8, 8, 3)),
        np.zeros((2, 8, 9, 3)),
        np.zeros((2, 8, 8, 1)),
    ],
    ids=lambda x: f"{x.dtype}{x.shape}",
)
def test_bad_images(images):
    with pytest.raises(UserError, match="augmentation takes floating images"):
        make_augment(flip=True, crop_scale=1.0)(KEY, images)


def test_examples_in_docstrings():
    for module in (augment_lib, mixing):
        assert doctest.testmod(module).failed == 0
