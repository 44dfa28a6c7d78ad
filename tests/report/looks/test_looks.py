"""Maps of where a model looks, against what they are by definition; which images are shown."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import backbones, heads
from vp_jax.backbones.clip.sizes import SIZES
from vp_jax.backbones.layers.attention import mean_weights
from vp_jax.errors import UserError
from vp_jax.records.predictions_file import Answers, OnTest
from vp_jax.report.looks.attention_rollout import attention_rollout
from vp_jax.report.looks.choice import choose
from vp_jax.report.looks.input_gradient import make_input_gradient

SIDE = 4


def random_weights(*shape):
    return np.asarray(jax.nn.softmax(jax.random.normal(jax.random.key(len(shape)), shape) * 2))


def test_rollout_is_the_product_of_all_blocks():
    tokens = 10
    blocks = [random_weights(2, tokens, tokens), random_weights(2, tokens, tokens) ** 1.0]
    last = random_weights(2, tokens, tokens)
    halves = [(a + np.eye(tokens)) / 2 for a in (*blocks, last)]
    product = halves[2] @ halves[1] @ halves[0]
    expected = product[:, 0, 1:].reshape(2, 3, 3)
    whole = attention_rollout([*map(jnp.asarray, blocks), jnp.asarray(last)])
    np.testing.assert_allclose(whole, expected, rtol=1e-5)
    first_row = attention_rollout([*map(jnp.asarray, blocks), jnp.asarray(last[:, :1])])
    np.testing.assert_allclose(first_row, expected, rtol=1e-5)


def test_patches_that_are_no_square_are_refused():
    with pytest.raises(UserError, match="10 patches are no square"):
        attention_rollout([jnp.ones((1, 11, 11)) / 11])


@pytest.mark.slow(seconds=4)
@pytest.mark.parametrize("remat", ["none", "blocks"])
def test_a_vit_tells_what_it_attends_to(remat):
    clip = backbones.load("clip_tiny", remat=remat)
    images = jax.random.normal(jax.random.key(0), (2, 32, 32, 3))
    weights = clip.attention(clip.params, images)
    assert len(weights) == SIZES["clip_tiny"].vision_layers
    assert [w.shape for w in weights] == [(2, 17, 17)] * 3 + [(2, 1, 17)]
    for block in weights:
        np.testing.assert_allclose(block.sum(axis=-1), 1, rtol=1e-5)


def test_mean_weights_are_those_of_attention():
    q, k = (jax.random.normal(jax.random.key(i), (2, 5, 3, 8)) for i in range(2))
    scores = np.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(8)
    expected = np.asarray(jax.nn.softmax(scores)).mean(axis=1)
    np.testing.assert_allclose(mean_weights(q, k), expected, rtol=1e-5, atol=1e-7)


def test_the_gradient_of_a_linear_model_is_its_weights():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(SIDE, SIDE, 3, 5)).astype(np.float32)
    std = (0.5, 0.25, 0.2)
    linear = backbones.from_fn(
        lambda params, x: x.reshape(len(x), -1) @ params["w"],
        {"w": jnp.asarray(weights.reshape(-1, 5))},
        image_size=SIDE,
        mean=(0.4, 0.4, 0.4),
        std=std,
        name="linear",
    )
    head = heads.linear()
    parts = {
        "backbone": linear.params,
        "head": {**head.init(jax.random.key(0), 5, 5), "kernel": jnp.eye(5), "bias": jnp.zeros(5)},
    }
    maps = make_input_gradient(linear, head)
    labels = np.array([3, 0])
    found = maps(parts, jnp.asarray(rng.random((2, SIDE, SIDE, 3), np.float32)), labels)
    each = np.abs(weights / np.array(std)[:, None]).max(axis=2)
    np.testing.assert_allclose(found, np.moveaxis(each[..., labels], -1, 0), rtol=1e-5)


def on_test(label, before, tuned, gained):
    labels = np.array(label)
    of_before = np.full(len(labels), 0.5, np.float32)
    return OnTest(
        labels,
        Answers(np.array(tuned), of_before, of_before + np.array(gained, np.float32)),
        Answers(np.array(before), of_before, of_before),
    )


def test_gains_and_losses_come_with_the_largest_first():
    found = on_test(
        label=[0, 0, 0, 1, 1, 1], before=[1, 1, 0, 1, 1, 0], tuned=[0, 0, 1, 0, 1, 0],
        gained=[0.1, 0.3, -0.2, -0.4, 0.0, 0.0],
    )  # fmt: skip
    choice = choose(found)
    assert choice.gains.tolist() == [1, 0]
    assert choice.losses.tolist() == [3, 2]
    assert choice.examples.tolist() == [0, 3]
    assert choice.every().tolist() == [0, 1, 2, 3]
    assert choose(found, 1).gains.tolist() == [1]


def test_without_a_model_before_the_surest_are_taken():
    answers = Answers(np.array([0, 1, 1, 1]), *(np.array([0.6, 0.9, 0.8, 0.7], np.float32),) * 2)
    choice = choose(OnTest(np.array([0, 0, 1, 1]), answers, None))
    assert choice.gains.tolist() == [2, 3, 0]
    assert choice.losses.tolist() == [1]


def test_nothing_gained_and_nothing_lost():
    found = on_test(label=[0, 1], before=[0, 1], tuned=[0, 1], gained=[0, 0])
    assert not len(choose(found).gains) and not len(choose(found).losses)
