"""The prompt designs against independent numpy loops."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from vp_jax import prompts
from vp_jax.errors import UserError

KEY = jax.random.key(7)
SHAPES = [(12, 12, 3), (10, 17, 1), (19, 8, 4)]
DESIGNS = {
    "pad": prompts.pad(3),
    "fixed_patch": prompts.fixed_patch(3, top=2, left=4),
    "random_patch": prompts.random_patch(3),
    "full": prompts.full(),
    "chain": prompts.chain(prompts.pad(2), prompts.fixed_patch(2, top=5)),
}


def images_of(shape, dtype=jnp.float32, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(size=shape), dtype)


def params_of(prompt, shape, seed=1):
    """Numbers in the shapes that `init` gives; cheaper than drawing them in JAX."""
    numbers = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda key: prompt.init(key, shape), KEY)
    return jax.tree.map(lambda s: numbers.normal(size=s.shape).astype(s.dtype), shapes)


def pad_delta(params, size, shape):
    """Where each number of a padding prompt goes, one pixel at a time."""
    height, width, _ = shape
    delta = np.zeros(shape, np.float32)
    for row in range(height):
        for column in range(width):
            if row < size:
                delta[row, column] = params["top"][row, column]
            elif row >= height - size:
                delta[row, column] = params["bottom"][row - (height - size), column]
            elif column < size:
                delta[row, column] = params["left"][row - size, column]
            elif column >= width - size:
                delta[row, column] = params["right"][row - size, column - (width - size)]
    return delta


def patch_delta(params, top, left, shape):
    delta = np.zeros(shape, np.float32)
    size = params["patch"].shape[0]
    for row in range(size):
        for column in range(size):
            delta[top + row, left + column] = params["patch"][row, column]
    return delta


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (prompts.pad(30), 69_840),
        (prompts.pad(1), 2_676),
        (prompts.fixed_patch(30), 2_700),
        (prompts.fixed_patch(1), 3),
        (prompts.random_patch(30), 2_700),
        (prompts.full(), 150_528),
        (prompts.parse("shrink(164) | clip | normalize"), 0),
        (prompts.chain(prompts.pad(30), prompts.fixed_patch(1)), 69_843),
        (prompts.chain(), 0),
    ],
)
def test_counts_of_the_paper(prompt, expected):
    shapes = jax.eval_shape(lambda key: prompt.init(key, (224, 224, 3)), KEY)
    assert prompts.count(shapes) == expected


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("leading", [(), (2,), (2, 3)])
def test_pad_places_each_number(shape, leading):
    prompt = prompts.pad(3)
    params = params_of(prompt, shape)
    height, width, channels = shape
    assert prompts.count(params) == 2 * channels * 3 * (height + width - 2 * 3)
    images = images_of((*leading, *shape))
    expected = np.asarray(images) + pad_delta(params, 3, shape)
    np.testing.assert_array_equal(jax.jit(prompt.apply)(params, images), expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("place", [(0, 0), (2, 4), (7, 5)])
def test_fixed_patch_places_each_number(shape, place):
    prompt = prompts.fixed_patch(3, *place)
    params = params_of(prompt, shape)
    images = images_of((2, *shape))
    expected = np.asarray(images) + patch_delta(params, *place, shape)
    np.testing.assert_array_equal(jax.jit(prompt.apply)(params, images), expected)


@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 9, 3), (9, 8, 3)])
def test_pad_may_cover_the_whole_image(shape):
    prompt = prompts.pad(4)
    params = params_of(prompt, shape)
    result = jax.jit(prompt.apply)(params, jnp.zeros(shape))
    np.testing.assert_array_equal(result, pad_delta(params, 4, shape))


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64])
def test_dtype_of_the_images_is_kept(name, dtype):
    prompt = DESIGNS[name]
    with jax.enable_x64(True):
        params = jax.eval_shape(lambda key: prompt.init(key, (12, 12, 3)), KEY)
        assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}
        images = jax.ShapeDtypeStruct((2, 12, 12, 3), dtype)
        result = jax.eval_shape(lambda p, x: prompt.apply(p, x, rng=KEY), params, images)
        assert (result.shape, result.dtype) == (images.shape, dtype)


def test_sums_are_rounded_once():
    prompt = prompts.pad(3)
    params = params_of(prompt, (12, 12, 3))
    images = images_of((2, 12, 12, 3), jnp.bfloat16)
    exact = np.asarray(images, np.float32) + pad_delta(params, 3, (12, 12, 3))
    result = jax.jit(prompt.apply)(params, images)
    np.testing.assert_array_equal(result, exact.astype(jnp.bfloat16))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("name", DESIGNS)
def test_uncovered_pixels_keep_every_bit(name, dtype):
    awkward = np.asarray([-0.0, 0.0, np.inf, np.nan, np.finfo(dtype).smallest_subnormal, 1], dtype)
    images = np.resize(awkward, (12, 12, 3))
    apply = jax.jit(DESIGNS[name].apply)
    params = params_of(DESIGNS[name], images.shape)
    covered = np.asarray(apply(params, jnp.zeros(images.shape, dtype), rng=KEY)) != 0
    result = np.asarray(apply(params, images, rng=KEY))
    assert 0 < covered.sum() < covered.size or name == "full"
    np.testing.assert_array_equal(
        result[~covered].view(f"u{result.itemsize}"), images[~covered].view(f"u{result.itemsize}")
    )


@pytest.mark.parametrize("name", DESIGNS)
def test_jit_and_vmap_change_nothing(name):
    prompt = DESIGNS[name]
    images = images_of((4, 12, 12, 3))
    params = params_of(prompt, (12, 12, 3))
    apply = lambda p, x, key: prompt.apply(p, x, rng=key)  # noqa: E731
    expected = apply(params, images, KEY)
    np.testing.assert_array_equal(jax.jit(apply)(params, images, KEY), expected)
    over_images = jax.vmap(apply, in_axes=(None, 0, None))
    np.testing.assert_array_equal(jax.jit(over_images)(params, images, KEY), expected)
    over_params = jax.vmap(apply, in_axes=(0, None, None))
    several = jax.tree.map(lambda leaf: np.stack([0 * leaf, leaf]), params)
    np.testing.assert_array_equal(jax.jit(over_params)(several, images, KEY)[1], expected)


@pytest.mark.parametrize("name", DESIGNS)
def test_gradient_counts_the_images(name):
    prompt = DESIGNS[name]
    params = params_of(prompt, (12, 12, 3))
    images = images_of((5, 12, 12, 3))
    total = lambda p, key: prompt.apply(p, images, rng=key).sum()  # noqa: E731
    gradient = jax.jit(jax.grad(total))(params, KEY)
    jax.tree.map(lambda g: np.testing.assert_array_equal(g, np.full_like(g, 5)), gradient)


@pytest.mark.parametrize("name", DESIGNS)
def test_gradients_in_both_modes(name):
    prompt = DESIGNS[name]
    wave = jax.jit(lambda p, x, key: jnp.sin(prompt.apply(p, x, rng=key)).sum())
    with jax.enable_x64(True):
        params = params_of(prompt, (8, 8, 1))
        params = jax.tree.map(lambda leaf: leaf.astype(np.float64), params)
        images = images_of((2, 8, 8, 1), np.float64)
        check_grads(partial(wave, key=KEY), (params, images), order=1, modes=("fwd", "rev"))


def test_random_patch_reaches_both_ends_and_never_further():
    height, width, size = 7, 9, 3
    prompt = prompts.random_patch(size, init="uniform")
    params = {"patch": jnp.ones((size, size, 1))}
    place = jax.jit(jax.vmap(lambda key: prompt.apply(params, jnp.zeros((7, 9, 1)), rng=key)))
    covered = np.asarray(place(jax.random.split(KEY, 2000)))[..., 0] != 0
    assert (covered.sum(axis=(1, 2)) == size * size).all()
    tops, lefts = covered.any(axis=2).argmax(axis=1), covered.any(axis=1).argmax(axis=1)
    pairs, hits = np.unique(np.stack([tops, lefts]), axis=1, return_counts=True)
    every = {(t, s) for t in range(height - size) for s in range(width - size)}
    assert {tuple(p) for p in pairs.T.tolist()} == every
    mean = 2000 / len(every)
    assert np.abs(hits - mean).max() < 5 * math.sqrt(mean)


def test_random_patch_has_one_place_for_the_batch_and_one_for_each_key():
    prompt = prompts.random_patch(2)
    params = params_of(prompt, (32, 32, 3))
    apply = jax.jit(lambda x, key: prompt.apply(params, x, rng=key))
    batch = np.asarray(apply(jnp.zeros((6, 32, 32, 3)), KEY))
    assert (batch == batch[0]).all()
    keys = jax.random.split(KEY, 6)
    images = np.asarray(jax.vmap(apply)(jnp.zeros_like(batch), keys))
    assert len({image.tobytes() for image in images}) > 1
    for key, image in zip(keys, images, strict=True):
        np.testing.assert_array_equal(apply(jnp.zeros((32, 32, 3)), key), image)


@pytest.mark.parametrize(
    "prompt",
    [prompts.random_patch(2), prompts.chain(prompts.pad(1), prompts.random_patch(2))],
    ids=["random_patch", "chain"],
)
def test_random_patch_without_a_key_says_what_to_pass(prompt):
    params = params_of(prompt, (8, 8, 3))
    with pytest.raises(UserError, match=r"pass rng=jax\.random\.key\("):
        prompt.apply(params, jnp.zeros((8, 8, 3)))


def test_initial_values():
    def drawn(**settings):
        return np.asarray(prompts.fixed_patch(40, **settings).init(KEY, (40, 40, 3))["patch"])

    normal = drawn()
    assert normal.dtype == np.float32
    assert abs(normal.mean()) < 0.05 and abs(normal.std() - 1) < 0.05
    np.testing.assert_allclose(drawn(scale=0.1), 0.1 * normal, rtol=1e-6)
    uniform = drawn(init="uniform", scale=2.0)
    assert -2 <= uniform.min() < -1.9 and 1.9 < uniform.max() < 2
    assert (drawn(init="zeros") == 0).all()


def test_every_leaf_is_drawn_from_a_key_of_its_own():
    pad = prompts.pad(2)
    first, (second,) = prompts.chain(pad, prompts.chain(pad)).init(KEY, (6, 6, 3))
    sides = [leaf[:2, :2] for params in (first, second) for leaf in params.values()]
    assert len(sides) == 8 and len({np.asarray(side).tobytes() for side in sides}) == 8
    again = pad.init(jax.random.split(KEY)[0], (6, 6, 3))
    jax.tree.map(np.testing.assert_array_equal, first, again)


def test_a_chain_draws_what_its_only_member_with_parameters_draws_alone():
    alone = prompts.pad(2).init(KEY, (6, 6, 3))
    for text in ("pad(2)", "normalize | pad(2)", "shrink(3) | pad(2) | clip | normalize"):
        drawn = [p for p in prompts.parse(text).init(KEY, (6, 6, 3)) if p]
        jax.tree.map(np.testing.assert_array_equal, drawn, [alone])
    patch = prompts.random_patch(2)
    params = patch.init(KEY, (12, 12, 3))
    expected = patch.apply(params, jnp.zeros((12, 12, 3)), rng=KEY)
    chain = prompts.parse("pad(1, init='zeros') | random_patch(2) | normalize((0,0,0), (1,1,1))")
    zeros = prompts.pad(1, init="zeros").init(KEY, (12, 12, 3))
    found = chain.apply((zeros, params, {}), jnp.zeros((12, 12, 3)), rng=KEY)
    np.testing.assert_array_equal(found, expected)


def test_a_chain_composes_and_gives_keys_to_those_that_draw():
    pad, patch = prompts.pad(2), prompts.random_patch(2)
    three = prompts.chain(patch, pad, patch)
    params = params_of(three, (12, 12, 3))
    assert isinstance(params, tuple) and len(params) == 3
    images = images_of((2, 12, 12, 3))
    one, two = jax.random.split(KEY, 2)
    first = patch.apply(params[0], images, rng=one)
    expected = patch.apply(params[2], pad.apply(params[1], first), rng=two)
    np.testing.assert_array_equal(three.apply(params, images, rng=KEY), expected)


def test_chains_of_chains():
    pad, patch = prompts.pad(2), prompts.random_patch(2)
    images = images_of((2, 12, 12, 3))
    nested = prompts.chain(prompts.chain(pad, patch), prompts.chain(), pad)
    params = params_of(nested, (12, 12, 3))
    assert params[1] == () and nested.apply(params, images, rng=KEY).shape == images.shape
    without_key = prompts.chain(pad, prompts.chain(pad))
    params = params_of(without_key, (12, 12, 3))
    twice = pad.apply(params[1][0], pad.apply(params[0], images))
    np.testing.assert_array_equal(without_key.apply(params, images), twice)


def test_texts_of_chains():
    nested = prompts.chain(
        prompts.chain(prompts.pad(2), prompts.clip()), prompts.chain(), prompts.full()
    )
    assert str(nested) == "pad(2) | clip | full"
    assert [str(stage) for stage in nested.stages] == ["pad(2)", "clip", "full"]
    own = prompts.Prompt(lambda rng, shape: {}, lambda params, images: images)
    assert str(prompts.chain(own, prompts.pad(2))) == "<custom prompt> | pad(2)"


def test_the_empty_chain_is_the_identity():
    init, apply = prompts.chain()
    assert init(KEY, (4, 4, 3)) == ()
    images = images_of((2, 4, 4, 3))
    np.testing.assert_array_equal(apply((), images), images)
    np.testing.assert_array_equal(apply((), images, rng=KEY), images)
