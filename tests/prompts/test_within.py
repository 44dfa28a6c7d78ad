"""Changes of an image that stay within a ball."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import prompts
from vp_jax.errors import UserError

KEY = jax.random.key(0)
SHAPE = (8, 8, 3)
IMAGES = jax.random.uniform(jax.random.key(1), (3, *SHAPE))
INNER = prompts.chain(prompts.pad(3), prompts.full(scale=0.1), prompts.clip())


def applied(prompt, images=IMAGES):
    return prompt.apply(prompt.init(KEY, SHAPE), images)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("norm", ["inf", "l2"])
def test_the_limits_are_exact(norm, dtype):
    images = IMAGES.astype(dtype)
    none = applied(prompts.within(INNER, 0, norm), images)
    np.testing.assert_array_equal(none, images)
    whole = applied(prompts.within(INNER, 1e6, norm), images)
    np.testing.assert_array_equal(whole, applied(INNER, images))
    assert none.dtype == whole.dtype == images.dtype


def test_changes_stay_within():
    change = np.asarray(applied(prompts.within(INNER, 8)) - IMAGES, np.float64)
    plain = np.asarray(applied(INNER) - IMAGES, np.float64)
    np.testing.assert_allclose(change, np.clip(plain, -8 / 255, 8 / 255), atol=1e-6)
    assert (applied(prompts.within(INNER, 8)) <= 1).all()
    change = np.asarray(applied(prompts.within(INNER, 8, "l2")) - IMAGES, np.float64)
    lengths = np.linalg.norm(change.reshape(3, -1), axis=1)
    np.testing.assert_allclose(lengths, 8 / 255, rtol=1e-4)
    np.testing.assert_allclose(
        change / lengths[:, None, None, None],
        plain / np.linalg.norm(plain.reshape(3, -1), axis=1)[:, None, None, None],
        atol=1e-5,
    )


def test_gradients_lead_back_into_the_ball_and_never_out():
    small = prompts.within(prompts.full(), 8)
    far = {"delta": jnp.ones(SHAPE).at[0].set(0.0)}

    def slope(sign):
        return jax.grad(lambda p: sign * small.apply(p, IMAGES).sum())(far)["delta"]

    np.testing.assert_array_equal(slope(1.0), 3.0)  # a step against it makes all smaller
    np.testing.assert_array_equal(slope(-1.0)[0], -3.0)
    np.testing.assert_array_equal(slope(-1.0)[1:], 0.0)
    of_images = jax.grad(lambda x: (-small.apply(far, x)).sum())(IMAGES)
    np.testing.assert_array_equal(of_images, -1.0)


@pytest.mark.parametrize("norm", ["inf", "l2"])
@pytest.mark.parametrize("init", ["normal", "zeros"])
def test_it_learns_from_any_start(init, norm):
    small = prompts.within(prompts.pad(2, init=init), 8, norm)
    params = jax.vmap(lambda key: small.init(key, SHAPE))(jax.random.split(KEY, 2))
    weights = jax.random.normal(jax.random.key(5), SHAPE)

    @jax.jit
    @jax.vmap
    def slopes(params):
        return jax.grad(lambda p: (weights * small.apply(p, IMAGES)).sum())(params)

    assert all((np.abs(x).max() > 0) & np.isfinite(x).all() for x in slopes(params).values())


def test_its_picture_is_that_of_what_it_changes():
    small = prompts.within(prompts.pad(2, init="uniform"), 8)
    picture = prompts.to_image(small, small.init(KEY, SHAPE), SHAPE)
    assert (picture[3, 3] == 128).all() and {1, 255} <= {*picture.flat}


def test_mistakes():
    for text, message in {
        "within(pad(2), -1)": "epsilon must be a finite number of at least 0, got -1",
        "within(pad(2), 8, norm=2)": "norm of within: 2.*valid: inf, l2",
        "within(pad(2))": "within needs epsilon",
        "normalize | within(pad(2), 8)": "needs pixel values in",
    }.items():
        with pytest.raises(UserError, match=message):
            prompts.parse(text)
    assert str(prompts.parse("within(pad(2), 8, 'inf')")) == "within(pad(2), 8.0) | normalize"
