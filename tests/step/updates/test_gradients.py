import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vp_jax.errors import UserError
from vp_jax.step.updates import gradients

DRAWN = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype(np.float32)


def change(text, gradient):
    changes = gradients.by_text(text)
    return changes.update(gradient, changes.init(gradient))[0]


def test_the_norm_of_evp_includes_the_middle_that_its_mask_drops():
    """Equations of the authors' code: g / (||g|| + 1e-10), then the mask."""
    g = DRAWN[0]
    mask = np.ones((6, 6, 1), np.float32)
    mask[2:-2, 2:-2] = 0
    expected = g / (np.linalg.norm(g) + 1e-10) * mask
    found = change("unit | frame(2)", {"prompt": ({"delta": g}, {})})["prompt"][0]["delta"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.linalg.norm(found) < 0.99
    masked = change("frame(2) | unit", {"prompt": ({"delta": g}, {})})["prompt"][0]["delta"]
    np.testing.assert_allclose(np.linalg.norm(masked), 1, rtol=1e-6)


def test_norms_are_of_the_part_or_of_each_stage():
    gradient = {"prompt": ({"top": DRAWN[0], "left": DRAWN[1]}, {}, {"gain": DRAWN[0, 0, 0]})}
    assert optax.tree.norm(change("unit", gradient)) == pytest.approx(1, rel=1e-6)
    frame, nothing, gain = change("unit_each", gradient)["prompt"]
    assert nothing == {}
    assert [float(optax.tree.norm(x)) for x in (frame, gain)] == pytest.approx([1, 1], rel=1e-6)
    arrays = change("unit_arrays", gradient)["prompt"]
    norms = [float(jnp.linalg.norm(x)) for x in jax.tree.leaves(arrays)]
    assert norms == pytest.approx([1, 1, 1], rel=1e-6)
    head = change("unit_each", {"head": {"kernel": DRAWN[0], "bias": DRAWN[1, 0, 0]}})["head"]
    assert [float(jnp.linalg.norm(x)) for x in head.values()] == pytest.approx([1, 1], rel=1e-6)


def test_values_are_clipped_in_the_order_of_the_text():
    g = {"prompt": jnp.array([3.0, -4.0, 0.0])}
    np.testing.assert_allclose(change("unit | clip(0.7)", g)["prompt"], [0.6, -0.7, 0], rtol=1e-6)
    np.testing.assert_array_equal(change("clip(1)|sign", g)["prompt"], [1, -1, 0])
    np.testing.assert_allclose(change("clip_norm(2.5)", g)["prompt"], [1.5, -2, 0], rtol=1e-6)
    np.testing.assert_array_equal(change("clip_norm(6)", g)["prompt"], g["prompt"])
    np.testing.assert_array_equal(change("", g)["prompt"], g["prompt"])


@pytest.mark.parametrize(
    "text", ["unit", "unit_each", "unit_arrays", "clip(1)", "clip_norm(1)", "sign"]
)
def test_zeros_stay_and_each_member_has_its_own(text):
    """What a sweep does: gradients of several members, zero where one has no parameters."""
    zeros = {"prompt": (jnp.zeros((4, 4, 3)),)}
    assert not optax.tree.norm(change(text, zeros))
    every = {"prompt": (jnp.asarray(DRAWN),)}
    together = jax.vmap(lambda g: change(text, g))(every)
    alone = change(text, {"prompt": (DRAWN[1],)})
    np.testing.assert_allclose(together["prompt"][0][1], alone["prompt"][0], rtol=1e-6)


def test_of_several_parts_each_has_its_own():
    parts = {"prompt": ({"top": DRAWN[0]},), "head": {"kernel": DRAWN[1]}}
    make = {"prompt": gradients.by_text("unit_each"), "head": gradients.by_text("sign")}
    both = optax.partition(make, {"prompt": "prompt", "head": "head"})
    found, _ = both.update(parts, both.init(parts))
    assert optax.tree.norm(found["prompt"]) == pytest.approx(1, rel=1e-6)
    np.testing.assert_array_equal(found["head"]["kernel"], np.sign(DRAWN[1]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("units", "did you mean 'unit'"),
        ("unit(3)", "unit of --config.optimizer.gradient takes no number"),
        ("clip", "clip of --config.optimizer.gradient needs a number above 0"),
        ("clip(-1)", "has '-1'"),
        ("frame(1.5)", "needs a whole number of pixels above 0"),
        ("unit; sign", "write it as words with"),
        ("unit |", "write it as words with"),
    ],
)
def test_mistakes(text, words):
    with pytest.raises(UserError, match=words):
        gradients.by_text(text)


def test_a_frame_needs_an_image():
    with pytest.raises(UserError, match=r"shape \(6, 3\): take it with the prompt full"):
        change("frame(2)", {"prompt": DRAWN[0, 0]})
    with pytest.raises(UserError, match="larger than"):
        change("frame(3)", {"prompt": DRAWN[0]})
