"""What holds for each of the stages that act on pixels alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pixels import IMAGES, KEY, SHAPE, begun, moved

from vp_jax import prompts
from vp_jax.errors import UserError

LEARNED = {
    "frame": prompts.frame(2),
    "low_rank": prompts.low_rank(2),
    "affine": prompts.affine(),
    "color": prompts.color(),
    "resize": prompts.resize(),
    "conv": prompts.conv(3),
    "fourier": prompts.fourier(0.3),
}
FIXED = {
    "blur": prompts.blur(1.5, outside="box", size=4, top=2),
    "overlay": prompts.overlay(8, 1, 1, thickness=1),
    "grey": prompts.grey(),
    "invert": prompts.invert(),
    "quantize": prompts.quantize(5),
}
STAGES = LEARNED | FIXED


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_shape_and_dtype_are_kept(name, dtype):
    stage = STAGES[name]
    params = jax.eval_shape(lambda key: stage.init(key, SHAPE), KEY)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} <= {jnp.dtype(jnp.float32)}
    for leading in ((), (2,), (2, 3)):
        images = jax.ShapeDtypeStruct((*leading, *SHAPE), dtype)
        found = jax.eval_shape(stage.apply, params, images)
        assert (found.shape, found.dtype) == (images.shape, dtype)


@pytest.mark.parametrize("name", STAGES)
def test_jit_and_vmap_change_nothing_but_rounding(name):
    stage, params = STAGES[name], moved(begun(STAGES[name]))
    expected = stage.apply(params, IMAGES)
    several = jax.tree.map(lambda x: np.stack([0.5 * x, x]), params)
    over_both = jax.vmap(jax.vmap(stage.apply, in_axes=(None, 0)), in_axes=(0, None))
    if params:
        found = jax.jit(over_both)(several, IMAGES)[1]
    else:
        found = jax.jit(stage.apply)(params, IMAGES)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    half = stage.apply(params, IMAGES.astype(jnp.bfloat16)).astype(np.float32)
    tolerance = 0.3 if name == "quantize" else 0.05
    np.testing.assert_allclose(half, expected, atol=tolerance)


@pytest.mark.parametrize("name", LEARNED)
def test_it_learns_from_where_it_begins(name):
    stage, params = LEARNED[name], begun(LEARNED[name])
    weights = np.random.default_rng(2).normal(size=IMAGES.shape).astype(np.float32)
    slope = jax.jit(jax.grad(lambda p: jnp.sum(weights * stage.apply(p, IMAGES))))
    slopes = jax.device_get(slope(params))
    dead = {"low_rank": {"right"}}.get(name, set())  # B, the other factor, begins as zeros
    assert {key for key, x in slopes.items() if not np.any(x)} == dead
    assert all(np.isfinite(x).all() for x in slopes.values())
    away = jax.device_get(slope(moved(params)))
    assert all(np.any(x) and np.isfinite(x).all() for x in away.values())


@pytest.mark.parametrize("name", LEARNED)
def test_its_picture(name):
    params = moved(begun(LEARNED[name]))
    picture = prompts.to_image(LEARNED[name], params, SHAPE)
    assert picture.shape == SHAPE and (picture != 128).any()
    chain = prompts.parse(f"{LEARNED[name]} | grey")
    drawn = prompts.to_image(chain, (params, {}, {}), SHAPE)
    assert (drawn != 128).any() and (drawn[..., :1] == drawn).all()


def test_the_picture_of_a_filter_within_another_stage():
    stage = prompts.within(prompts.conv(3), 255)
    params = moved(begun(stage))
    np.testing.assert_array_equal(
        prompts.to_image(stage, params, SHAPE), prompts.to_image(prompts.conv(3), params, SHAPE)
    )


@pytest.mark.parametrize("name", STAGES)
def test_its_text_is_read_back(name):
    assert str(prompts.parse(str(STAGES[name])).stages[0]) == str(STAGES[name])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("low_rank(0)", "rank must be an int of at least 1"),
        ("affine(scale=1.0)", "scale must lie between 0 and 1, neither included, got 1.0"),
        ("resize(scale=6)", "scale must lie between 0.1 and 5.0, got 6.0"),
        ("conv(4)", "the side of a kernel must be odd, got 4: take 5"),
        ("conv(3, center=-8)", "center must be over -8"),
        ("fourier(0)", "share must be above 0 and at most 1"),
        ("blur(-1)", "sigma must be a finite number of at least 0"),
        ("blur(1, outside='box')", "outside and size go together"),
        ("blur(1, size=3)", "outside and size go together"),
        ("blur(1, outside='star', size=3)", "unknown outside of blur: 'star'"),
        ("overlay(4, color=(2, 0, 0))", r"color must have values in \[0, 1\]"),
        ("quantize(1)", "levels must be an int of at least 2"),
        ("normalize | frame(3)", "needs pixel values in"),
        ("normalize | quantize", "needs pixel values in"),
    ],
)
def test_mistakes(text, message):
    with pytest.raises(UserError, match=message):
        prompts.parse(text)


@pytest.mark.parametrize(
    ("stage", "shape", "message"),
    [
        (prompts.low_rank(9), (8, 12, 3), "at least 9 x 9 pixels"),
        (prompts.frame(5), (8, 12, 3), "the largest size that fits is 4"),
        (prompts.conv(9), (8, 12, 3), "at least 9 x 9 pixels"),
        (prompts.overlay(4, 6, 1), (8, 12, 3), "at least 10 x 5 pixels"),
        (prompts.overlay(4), (8, 12, 1), "one value of color for each channel, got 3"),
        (prompts.blur(1, outside="box", size=4, left=9), (8, 12, 3), "at least 4 x 13 pixels"),
        (prompts.grey(), (8, 12, 1), "needs images of red, green and blue"),
    ],
)
def test_images_that_do_not_fit(stage, shape, message):
    with pytest.raises(UserError, match=message):
        stage.apply({}, jnp.zeros(shape))
