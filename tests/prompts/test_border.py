"""The border around an image that is moved."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import prompts
from vp_jax.errors import UserError

KEY = jax.random.key(1)
SHAPE = (12, 10, 3)
IMAGES = np.random.default_rng(0).uniform(size=(2, *SHAPE)).astype(np.float32)
PLAIN = {"normalization": ((0.0,) * 3, (1.0,) * 3)}
ACAVP = prompts.border(prompts.chain(prompts.affine(), prompts.color()))


def theta_of(params, seed=2):
    values = np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)
    return params | {"border": values}


@pytest.mark.slow
def test_it_is_added_where_the_map_of_ones_is_zero():
    params = theta_of(ACAVP.init(KEY, SHAPE))
    moved = prompts.affine().apply(params["inner"][0], IMAGES)
    ones = prompts.affine().apply(params["inner"][0], np.ones(SHAPE, np.float32))
    free = np.asarray(ones) == 0
    assert 0 < free.mean() < 1 and (free == free[..., :1]).all()
    np.testing.assert_array_equal(
        ACAVP.apply(params, IMAGES), np.where(free, params["border"], moved)
    )


def test_black_pixels_of_the_image_are_not_free():
    params = theta_of(ACAVP.init(KEY, SHAPE))
    found = np.asarray(ACAVP.apply(params, np.zeros((2, *SHAPE), np.float32)))
    assert (found[:, 4:-4, 4:-4] == 0).all() and (found[:, 0] != 0).all()


def test_scale_and_color_of_one_are_the_identity():
    params = theta_of(ACAVP.init(KEY, SHAPE))
    params["inner"][0]["scale"] = np.full(2, 40, np.float32)
    np.testing.assert_array_equal(ACAVP.apply(params, IMAGES), IMAGES)


@pytest.mark.slow
def test_with_a_frozen_map_it_is_the_frame_of_evp():
    """Of an image of ones; the resize of an image and a bilinear map of it are not the same."""
    images, shape = np.ones((1, 16, 16, 3), np.float32), (16, 16, 3)
    stage = prompts.border(prompts.affine(scale=0.5))
    params = stage.init(KEY, shape)
    params["border"] = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    evp = prompts.parse("shrink(8) | full(init='zeros')")
    free = np.pad(np.zeros((8, 8, 3)), [(4, 4), (4, 4), (0, 0)], constant_values=1)
    delta = {"delta": np.float32(params["border"] * free)}
    expected = evp.apply(({}, delta, {}), images, **PLAIN)
    np.testing.assert_allclose(stage.apply(params, images), expected, atol=1e-6)


def test_bounded_it_is_the_frame_of_autovp():
    stage = prompts.border(prompts.resize(scale=0.5), bounded=True)
    params = stage.init(KEY, SHAPE)
    grey = np.asarray(stage.apply(params, IMAGES))
    assert (grey[:, [0, -1]] == 0.5).all()
    params = theta_of(params)
    found = np.asarray(stage.apply(params, IMAGES))
    np.testing.assert_allclose(found[:, 0], [1 / (1 + np.exp(-params["border"][0]))] * 2, rtol=1e-5)
    assert found.min() >= 0 and found.max() <= 1


@pytest.mark.slow(seconds=4)
def test_everything_learns_from_where_it_begins():
    weights = np.random.default_rng(2).normal(size=IMAGES.shape).astype(np.float32)
    for stage in (ACAVP, prompts.border(prompts.resize(), bounded=True)):
        params = stage.init(KEY, SHAPE)
        slope = jax.grad(lambda p, s=stage: jnp.sum(weights * s.apply(p, IMAGES)))(params)
        for leaf in jax.tree.leaves(slope):
            assert np.any(leaf) and np.isfinite(leaf).all()
        free = np.asarray(slope["border"]) != 0
        assert free[0].all() and not free[6, 5].any()


def test_a_map_of_each_image_leaves_its_own_places_free():
    @prompts.stage
    def by_label() -> prompts.Formula:
        def apply(params, images, *, label):
            kept = (
                jnp.arange(images.shape[-2])[:, None] < params["columns"][label, None, None, None]
            )
            return jnp.where(kept, images, 0)

        columns = jnp.asarray([3, 7], jnp.float32)
        return prompts.Formula(apply, lambda rng, shape: {"columns": columns})

    stage = prompts.border(by_label())
    params = theta_of(stage.init(KEY, SHAPE))
    found = stage.apply(params, IMAGES, label=jnp.array([1, 0]))
    for image, one, columns in zip(found, IMAGES, (7, 3), strict=True):
        np.testing.assert_array_equal(image[:, :columns], one[:, :columns])
        np.testing.assert_array_equal(image[:, columns:], params["border"][:, columns:])


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_jit_vmap_and_dtypes(dtype):
    params = theta_of(ACAVP.init(KEY, SHAPE))
    images = IMAGES.astype(dtype)
    expected = ACAVP.apply(params, images)
    assert expected.dtype == dtype
    several = jax.tree.map(lambda x: np.stack([0.5 * x, x]), params)
    found = jax.jit(jax.vmap(ACAVP.apply, in_axes=(0, None)))(several, images)[1]
    tolerance = 2e-6 if dtype == jnp.float32 else 0.02
    np.testing.assert_allclose(
        found.astype(np.float32), expected.astype(np.float32), atol=tolerance
    )


def test_texts_pictures_and_mistakes():
    for text in ("border(affine | color) | normalize", "normalize | border(resize)"):
        prompt = prompts.parse(text)
        assert str(prompt) == text
        params = prompt.init(KEY, SHAPE)
        picture = prompts.to_image(prompt, params, SHAPE)
        assert (picture[0] != 128).all() and (picture[6, 5] == 128).all()
    with pytest.raises(UserError, match="needs pixel values in"):
        prompts.parse("normalize | border(resize, bounded=True)")
