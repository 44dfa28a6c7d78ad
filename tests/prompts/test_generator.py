"""Prompts that follow from the features of images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import prompts
from vp_jax.errors import UserError

KEY = jax.random.key(0)
SHAPE = (30, 32, 3)
IMAGES = jax.random.uniform(jax.random.key(1), (3, *SHAPE))
FEATURES = jax.random.normal(jax.random.key(2), (3, 5))


@pytest.mark.slow
def test_without_a_last_layer_images_stay_as_they_are():
    stage = prompts.generator(5)
    found = stage.apply(stage.init(KEY, SHAPE), IMAGES, features=FEATURES)
    np.testing.assert_array_equal(found, IMAGES)
    stage = prompts.generator(5, 0.0, init="normal")
    found = stage.apply(stage.init(KEY, SHAPE), IMAGES, features=FEATURES)
    np.testing.assert_array_equal(found, IMAGES)


@pytest.mark.slow
def test_the_canvas_follows_from_features_alone():
    stage = prompts.generator(5, 2.0, init="normal", scale=0.1)
    params = stage.init(KEY, SHAPE)
    drawn = stage.apply(params, IMAGES, features=FEATURES) - IMAGES
    again = stage.apply(params, 0 * IMAGES, features=FEATURES[::-1])
    np.testing.assert_allclose(drawn, again[::-1], atol=1e-6)
    assert np.abs(drawn[0] - drawn[1]).max() > 0.01
    same = stage.apply(params, IMAGES, features=0 * FEATURES) - IMAGES
    np.testing.assert_allclose(same, same[:1] + 0 * same, atol=1e-6)
    one = stage.apply(params, IMAGES[0], features=FEATURES[0])
    np.testing.assert_allclose(one, IMAGES[0] + drawn[0], atol=1e-6)
    half = prompts.generator(5, 1.0, init="normal", scale=0.1)
    np.testing.assert_allclose(
        2 * (half.apply(params, IMAGES, features=FEATURES) - IMAGES), drawn, atol=1e-6
    )


@pytest.mark.parametrize("side", [8, 13, 14, 32, 64, 120, 224, 400, 448])
def test_every_size_of_image_has_a_canvas(side):
    stage = prompts.generator(5, init="normal")
    shape = (side, side + 1, 3)

    def drawn():
        features, images = jnp.ones((1, 5)), jnp.zeros((1, *shape))
        return stage.apply(stage.init(KEY, shape), images, features=features)

    assert jax.eval_shape(drawn).shape == (1, *shape)
    if side == 224:
        assert prompts.count(jax.eval_shape(lambda: stage.init(KEY, (224, 224, 3)))) == 9120 + 1563


@pytest.mark.slow
def test_it_learns():
    stage = prompts.generator(5)
    params = jax.vmap(lambda key: stage.init(key, SHAPE))(jax.random.split(KEY, 2))

    @jax.jit
    @jax.vmap
    def slopes(params):
        weights = jax.random.normal(jax.random.key(5), SHAPE)
        loss = lambda p: (weights * stage.apply(p, IMAGES, features=FEATURES)).sum()  # noqa: E731
        one = jax.grad(loss)(params)
        later = jax.grad(loss)(jax.tree.map(lambda x, g: x + 0.01 * g, params, one))
        return one, later

    first, later = slopes(params)
    assert (np.abs(first["last"]).max(axis=(1, 2, 3, 4)) > 0).all()
    assert all(np.abs(x).max() > 0 for x in jax.tree.leaves(later))


def test_dtype_picture_and_mistakes():
    stage = prompts.generator(5, init="normal")
    params = stage.init(KEY, SHAPE)
    half = IMAGES.astype("bfloat16")
    assert stage.apply(params, half, features=FEATURES).dtype == jnp.bfloat16
    picture = prompts.to_image(stage, params, SHAPE, features=FEATURES[:1])
    assert picture.shape == SHAPE and (picture != 128).any()
    with pytest.raises(UserError, match=r"generator\(5\) is given 4 features: write 4"):
        stage.apply(params, IMAGES, features=FEATURES[:, :4])
    with pytest.raises(UserError, match="generator: 5000 features need channels=79, or more"):
        prompts.generator(5000).init(KEY, SHAPE)
    assert str(prompts.generator(5, 1, channels=32)) == "generator(5)"
