"""Prompts with a mask of their own for every image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import prompts
from vp_jax.errors import UserError
from vp_jax.prompts.networks.convolutions import normalized

KEY = jax.random.key(0)
SHAPE = (12, 8, 3)
IMAGES = jax.random.uniform(jax.random.key(1), (2, *SHAPE))
FULL = prompts.full(init="uniform")


def with_mask(params, value):
    """The same parameters with a mask of one value everywhere."""
    *others, last = params["mask"]
    last = {"kernel": 0 * last["kernel"], "bias": jnp.full(3, value)}
    return {**params, "mask": (*others, last)}


@pytest.mark.slow
def test_the_limits():
    stage = prompts.masked(FULL, layers=3, patch=4)
    params = stage.init(KEY, SHAPE)
    whole = stage.apply(with_mask(params, 1.0), IMAGES)
    np.testing.assert_allclose(whole, FULL.apply(params["inner"], IMAGES), atol=1e-6)
    np.testing.assert_array_equal(stage.apply(with_mask(params, 0.0), IMAGES), IMAGES)
    none = {**params, "inner": {"delta": jnp.zeros(SHAPE)}}
    np.testing.assert_array_equal(stage.apply(none, IMAGES), IMAGES)


@pytest.mark.slow
@pytest.mark.parametrize("patch", [1, 8])
def test_a_mask_has_one_value_for_a_patch_and_is_the_images_own(patch):
    stage = prompts.masked(FULL, layers=4, patch=patch)
    params = stage.init(KEY, SHAPE)
    params = {**params, "inner": {"delta": jnp.ones(SHAPE)}}
    mask = np.asarray(stage.apply(params, IMAGES) - IMAGES)
    rows = np.add.reduceat(mask, range(0, 12, patch), axis=1)
    assert np.abs(mask[0] - mask[1]).max() > 1e-3 and rows.shape[1] == -(-12 // patch)
    for top in range(0, 12, patch):
        for left in range(0, 8, patch):
            square = mask[:, top : top + patch, left : left + patch]
            np.testing.assert_allclose(square, square[:, :1, :1] + 0 * square, atol=1e-6)
    np.testing.assert_allclose(stage.apply(params, IMAGES[0]), IMAGES[0] + mask[0], atol=1e-6)


def test_sizes_are_those_of_the_authors():
    for layers, count in ((5, 26_499), (6, 102_339)):
        stage = prompts.masked(prompts.full(init="zeros"), layers=layers)
        params = jax.eval_shape(lambda stage=stage: stage.init(KEY, (224, 224, 3)))
        assert prompts.count(params["mask"]) == count


def test_normalisation_is_by_image_and_group():
    x = jax.random.normal(KEY, (2, 5, 4, 16)) * 3 + 1
    found = np.asarray(normalized(x, jnp.ones(16), jnp.zeros(16)), np.float64)
    for group in np.split(found, 2, axis=-1):
        np.testing.assert_allclose(group.mean(axis=(1, 2, 3)), 0, atol=1e-5)
        np.testing.assert_allclose(group.std(axis=(1, 2, 3)), 1, atol=1e-4)


@pytest.mark.parametrize("init", ["zeros", "uniform"])
def test_it_learns(init):
    stage = prompts.masked(prompts.full(init=init), layers=2, patch=2)
    params = jax.vmap(lambda key: stage.init(key, SHAPE))(jax.random.split(KEY, 2))
    weights = jax.random.normal(jax.random.key(5), SHAPE)

    @jax.jit
    @jax.vmap
    def slopes(params):
        return jax.grad(lambda p: (weights * stage.apply(p, IMAGES)).sum())(params)

    found = slopes(params)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(found))
    assert np.abs(found["inner"]["delta"]).max() > 0
    of_mask = [np.abs(x["kernel"]).max() > 0 for x in found["mask"]]
    assert of_mask == [init != "zeros"] * 2


def test_dtype_picture_and_mistakes():
    stage = prompts.masked(FULL, layers=3, patch=2)
    params = stage.init(KEY, SHAPE)
    assert stage.apply(params, IMAGES.astype("bfloat16")).dtype == jnp.bfloat16
    assert (prompts.to_image(stage, params, SHAPE) != 128).any()
    for text in ("masked(full, patch=3)", "masked(full, layers=3, patch=8)"):
        with pytest.raises(UserError, match="masked: patch must be a power of two up to"):
            prompts.parse(text)
