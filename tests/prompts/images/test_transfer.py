import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import prompts
from vp_jax.errors import UserError
from vp_jax.prompts.images.transfer import transfer


def drawn(text, side, seed=0):
    prompt = prompts.parse(text)
    return prompt, prompt.init(jax.random.key(seed), (side, side, 3))


def moved(text, side, to, to_side):
    prompt, params = drawn(text, side)
    other = prompts.parse(to)
    found = transfer(prompt, params, (side, side, 3), other, (to_side, to_side, 3))
    like = jax.eval_shape(lambda: other.init(jax.random.key(0), (to_side, to_side, 3)))
    assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, like)
    return prompt, params, other, found


@pytest.mark.parametrize("text", ["normalize | pad(3)", "full | normalize", "shrink(6) | pad(2)"])
def test_the_same_prompt_begins_with_the_same_numbers(text):
    _, params, _, found = moved(text, 12, text.replace("pad(3)", "pad(3, init='zeros')"), 12)
    jax.tree.map(np.testing.assert_array_equal, found, params)


@pytest.mark.parametrize(("size", "side"), [(8, 32), (2, 8), (6, 16), (1, 16)])
def test_a_frame_on_images_of_another_size_or_of_another_width(size, side):
    """What it adds is what the other one adds, resampled; where that added nothing it is zero."""
    one, params, two, found = moved("normalize | pad(4)", 16, f"normalize | pad({size})", side)
    on_image = lambda p, x, n: p.apply(  # noqa: E731
        x, jnp.zeros((n, n, 3)), normalization=((0.0,) * 3, (1.0,) * 3)
    )
    before, after = on_image(one, params, 16), on_image(two, found, side)
    inner = np.s_[4 * side // 16 + 1 : side - 4 * side // 16 - 1]
    assert not np.asarray(after)[inner, inner].any()
    if side == 16:
        common = min(size, 4)
        np.testing.assert_allclose(after[:common], before[:common], atol=1e-6)
        np.testing.assert_allclose(after[-common:], before[-common:], atol=1e-6)
    else:
        wanted = jax.image.resize(before, (side, side, 3), "linear")
        edge = after[0, :, 0]  # far from the inner border
        np.testing.assert_allclose(edge, wanted[0, :, 0], atol=1e-5)


def test_a_constant_stays_one():
    prompt, params = drawn("pad(4) | normalize", 16)
    ones = jax.tree.map(jnp.ones_like, params)
    found = transfer(prompt, ones, (16, 16, 3), prompts.parse("pad(6)"), (24, 24, 3))
    assert all(np.allclose(x, 1, atol=1e-5) for x in jax.tree.leaves(found))


@pytest.mark.parametrize("text", ["cluster({}, 3)", "class_wise({}, 3)"])
@pytest.mark.parametrize("inner", ["pad(3)", "pad(3) | fixed_patch(2)"])
def test_every_prompt_of_several_begins_as_the_one(text, inner):
    _, params, _, found = moved(f"normalize | {inner}", 12, f"normalize | {text.format(inner)}", 12)
    for one, several in zip(jax.tree.leaves(params), jax.tree.leaves(found), strict=True):
        np.testing.assert_array_equal(several, jnp.stack(3 * [one]))


def test_the_prompts_of_an_ensemble_cannot_begin_as_one():
    """They would be the same for ever."""
    prompt, params = drawn("pad(4)", 16)
    with pytest.raises(UserError, match="cannot begin as"):
        transfer(prompt, params, (16, 16, 3), prompts.parse("ensemble(pad(4), 2)"), (16, 16, 3))


def test_stages_that_differ_are_refused():
    prompt, params = drawn("pad(4)", 16)
    for text in ("full", "normalize | pad(4)", "pad(4) | full"):
        with pytest.raises(UserError, match="stages of the same names in the same order"):
            transfer(prompt, params, (16, 16, 3), prompts.parse(text), (16, 16, 3))
