"""The stages without parameters, against what they stand for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import prompts, resampling
from vp_jax.data.images.preprocess import ResizeRule, preprocess, resize_matrices
from vp_jax.errors import UserError
from vp_jax.prompts.by_resize import by_resize

KEY = jax.random.key(3)


def test_clip():
    values = jnp.array([-1.0, -0.0, 0.0, 0.25, 1.0, 1.5]).reshape(1, 2, 3)
    found = prompts.clip().apply({}, values)
    np.testing.assert_array_equal(found.ravel(), [0, 0, 0, 0.25, 1, 1])
    total = lambda x: prompts.clip().apply({}, x).sum()  # noqa: E731
    np.testing.assert_array_equal(jax.grad(total)(values + 0.1).ravel(), [0, 1, 1, 1, 0, 0])


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_normalize(dtype):
    images = jax.random.uniform(KEY, (2, 5, 4, 3)).astype(dtype)
    mean, std = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
    expected = (np.asarray(images, np.float64) - mean) / std
    found = prompts.normalize(mean, std).apply({}, images)
    given = prompts.normalize().apply({}, images, normalization=(mean, std))
    assert found.dtype == dtype and (found == given).all()
    np.testing.assert_allclose(found.astype(jnp.float32), expected, rtol=1e-2, atol=1e-2)
    if dtype == jnp.float32:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_normalisations_of_other_channels_are_refused():
    with pytest.raises(UserError, match="need one mean and one std for each of their channels"):
        prompts.normalize((0.5,), (0.5,)).apply({}, jnp.zeros((4, 4, 3)))
    with pytest.raises(UserError, match="needs normalization"):
        prompts.normalize().apply({}, jnp.zeros((4, 4, 3)))


@pytest.mark.parametrize("method", resampling.METHODS)
@pytest.mark.parametrize("size", [1, 7, 16, 17, 23, 24])
def test_shrink_is_the_resize_of_the_data(size, method):
    """But for the two roundings to grey levels, at most half a level each, and its clipping."""
    levels = np.random.default_rng(0).integers(60, 190, (3, 24, 24, 3), np.uint8)
    resized = np.asarray(preprocess(levels, ResizeRule(size, size, method)))
    found = np.asarray(
        prompts.shrink(size).apply({}, levels / np.float32(255), resize_method=method)
    )
    before, after = (24 - size) // 2, (24 - size + 1) // 2
    middle = found[:, before : 24 - after, before : 24 - after]
    assert np.abs(middle - resized).max() * 255 <= (1.1 if method == "bilinear" else 1.3)
    assert found.sum() == pytest.approx(middle.sum(), rel=1e-6)


def test_shrink_of_all_sizes_and_shapes():
    images = jax.random.uniform(KEY, (2, 12, 18, 2))
    found = prompts.shrink(6).apply({}, images)
    assert found.shape == images.shape
    inside = np.zeros((12, 18), bool)
    inside[3:9, 4:13] = True
    assert (found[:, ~inside] == 0).all() and (found[:, inside] > 0).all()
    same = prompts.shrink(12).apply({}, images)
    np.testing.assert_allclose(same, images, atol=1e-6)
    for grey in (0.0, 0.25, 1.0):
        flat = prompts.shrink(5).apply({}, jnp.full((9, 9, 1), grey))
        np.testing.assert_allclose(flat[2:7, 2:7], grey, atol=1e-6)
    with pytest.raises(UserError, match="the largest size that fits is 12"):
        prompts.shrink(13).apply({}, images)


def test_shrink_and_a_frame_of_the_rest_is_a_frame_around_the_image():
    images = jax.random.uniform(KEY, (2, 16, 16, 3))
    prompt = prompts.parse("shrink(10) | pad(3)")
    params = prompt.init(KEY, (16, 16, 3))
    identity = {"normalization": ((0.0,) * 3, (1.0,) * 3)}
    found = prompt.apply(params, images, **identity)
    small = prompts.shrink(10).apply({}, images)
    np.testing.assert_array_equal(found[:, 3:-3, 3:-3], small[:, 3:-3, 3:-3])
    np.testing.assert_array_equal(found[:, :3], jnp.stack([params[1]["top"]] * 2))


def test_a_first_shrink_is_left_to_the_resize():
    images = jax.random.uniform(KEY, (2, 16, 16, 3))
    given = {"normalization": ((0.5,) * 3, (0.25,) * 3), "rng": jax.random.key(5)}
    for text in ("shrink(10) | pad(3) | random_patch(2)", "shrink(4) | full(scale=0.1) | clip"):
        prompt = prompts.parse(text)
        params = prompt.init(KEY, (16, 16, 3))
        size, apply = by_resize(prompt)
        assert size == prompt.stages[0].arguments["size"]
        shrunk = prompts.shrink(size).apply({}, images)
        np.testing.assert_array_equal(
            apply(params, shrunk, **given), prompt.apply(params, images, **given)
        )
    for text in ("pad(3)", "normalize | shrink(4)", "pad(3) | shrink(4)"):
        prompt = prompts.parse(text)
        assert by_resize(prompt) == (None, prompt.apply)


def test_the_data_resize_with_the_same_weights():
    rows, _ = resize_matrices(30, 30, ResizeRule(11))
    weights = resampling.weights(30, 11, np.arange(11), np.arange(30), "bicubic")
    np.testing.assert_allclose(rows, weights, atol=2**-22)
