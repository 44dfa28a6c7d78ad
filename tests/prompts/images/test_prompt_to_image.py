"""Pictures of prompts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import prompts
from vp_jax.errors import UserError


def params_of(prompt, shape):
    numbers = np.random.default_rng(3)
    shapes = jax.eval_shape(lambda key: prompt.init(key, shape), jax.random.key(0))
    return jax.tree.map(lambda s: numbers.normal(size=s.shape).astype(s.dtype), shapes)


def test_a_frame_is_drawn_on_grey():
    prompt = prompts.pad(4)
    params = params_of(prompt, (20, 24, 3))
    picture = prompts.to_image(prompt, params, (20, 24, 3))
    assert picture.shape == (20, 24, 3) and picture.dtype == np.uint8
    assert (picture[4:-4, 4:-4] == 128).all()
    assert picture.min() == 1 and picture.max() == 255
    seen = np.abs(params["top"]) > 0.1
    np.testing.assert_array_equal((picture[:4] > 128)[seen], (np.asarray(params["top"]) > 0)[seen])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_channels(channels):
    prompt = prompts.fixed_patch(1, top=2, left=1)
    values = jnp.asarray([1.0, -0.5, 0.25, 1.25][:channels])
    picture = prompts.to_image(prompt, {"patch": values[None, None]}, (5, 6, channels))
    assert picture.shape == (5, 6, 3)
    if channels == 3:
        assert (np.sign(picture[2, 1].astype(int) - 128) == [1, -1, 1]).all()
    else:
        assert (picture[2, 1] == 255).all()
    picture[2, 1] = 128
    assert (picture == 128).all()


def test_one_outlier_does_not_hide_the_rest():
    prompt = prompts.pad(8)
    params = params_of(prompt, (32, 32, 3))
    params["top"][0, 0, 0] = 1e6
    picture = prompts.to_image(prompt, params, (32, 32, 3)).astype(int)
    assert np.abs(picture[-8:] - 128).mean() > 20


def test_random_clipped_zero_and_chained_prompts():
    shape = (16, 16, 3)
    random = prompts.random_patch(3)
    params = params_of(random, shape)
    default = prompts.to_image(random, params, shape)
    np.testing.assert_array_equal(
        default, prompts.to_image(random, params, shape, rng=jax.random.key(0))
    )
    places = [prompts.to_image(random, params, shape, rng=jax.random.key(k)) for k in range(4)]
    assert any((place != default).any() for place in places)

    bounded = prompts.parse("pad(2, scale=9) | clip")
    picture = prompts.to_image(bounded, params_of(bounded, shape), shape)
    assert picture.min() == 1 and picture.max() == 255 and picture[8, 8, 0] == 128

    blank = prompts.pad(2, init="zeros")
    zeros = blank.init(jax.random.key(0), shape)
    assert (prompts.to_image(blank, zeros, shape) == 128).all()
    chain = prompts.chain(random, prompts.pad(2))
    assert (prompts.to_image(chain, params_of(chain, shape), shape) != 128).any()


@pytest.mark.parametrize(
    "text", ["normalize | pad(4)", "pad(4)", "normalize((.5,.5,.5),(2,2,2)) | pad(4)"]
)
def test_normalisation_does_not_change_the_picture(text):
    params = params_of(prompts.pad(4), (20, 24, 3))
    chain = prompts.parse(text)
    tree = [params if str(stage) == "pad(4)" else {} for stage in chain.stages]
    expected = prompts.to_image(prompts.pad(4), params, (20, 24, 3))
    np.testing.assert_array_equal(prompts.to_image(chain, tree, (20, 24, 3)), expected)


def test_the_border_of_a_shrunk_image_is_grey():
    prompt = prompts.parse("shrink(8) | pad(2)")
    picture = prompts.to_image(prompt, params_of(prompt, (16, 16, 3)), (16, 16, 3))
    assert (picture[2:-2, 2:-2] == 128).all() and (picture[:2] != 128).any()


@pytest.mark.parametrize("clip", ["", " | clip"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value, clip):
    prompt = prompts.parse(f"fixed_patch(2){clip}")
    params = [{"patch": np.full((2, 2, 3), value)}, *({} for _ in prompt.stages[1:])]
    with pytest.raises(UserError, match="not finite"):
        prompts.to_image(prompt, params, (8, 8, 3))
