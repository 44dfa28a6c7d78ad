"""Prompts after 20 updates in float64, against their authors' updates written out in numpy.

The frozen network is `tanh(x U) V`, the loss the mean cross-entropy, and the gradient of each
prompt is derived by hand.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vp_jax import prompts
from vp_jax.step import gradients, optimizers

SHAPE = (8, 8, 3)
UPDATES = 20
NUMBERS = np.random.default_rng(0)
IMAGES = NUMBERS.uniform(size=(10, *SHAPE))
LABELS = NUMBERS.integers(0, 4, 10)
MEAN, STD = np.array([0.48, 0.46, 0.41]), np.array([0.27, 0.26, 0.28])
FIRST, SECOND = NUMBERS.normal(size=(192, 9)) / 8, NUMBERS.normal(size=(9, 4))
INSIDE = np.pad(np.ones((4, 4, 1)), [(2, 2), (2, 2), (0, 0)])
SMALL = IMAGES * INSIDE  # what stands in the middle of zeros


def network(pixels):
    """Logits and what takes their gradient back to the pixels."""
    flat = ((pixels - MEAN) / STD).reshape(len(pixels), -1)
    hidden = np.tanh(flat @ FIRST)

    def back(slope):
        slope = ((slope @ SECOND.T) * (1 - hidden**2)) @ FIRST.T
        return slope.reshape(pixels.shape) / STD

    return hidden @ SECOND, back


def slope_of_pixels(pixels):
    """The gradient of the mean cross-entropy."""
    logits, back = network(pixels)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return back((shares - np.eye(4)[LABELS]) / len(LABELS))


def adam(values, slopes, state, step, rate):
    for key, slope in slopes.items():
        first, second = state.setdefault(key, [0.0, 0.0])
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        state[key] = [first, second]
        corrected = np.sqrt(second / (1 - 0.999**step))
        values[key] = values[key] - rate * first / (1 - 0.9**step) / (corrected + 1e-8)


def ilm_frame():
    """Chen et al. 2022: sigmoid(theta) in the mask around the small image; Adam, 0.01."""
    mask, state = 1 - INSIDE, {}
    values = {"theta": np.zeros(SHAPE)}
    for step in range(1, UPDATES + 1):
        inner = 1 / (1 + np.exp(-values["theta"]))
        slope = slope_of_pixels(SMALL + mask * inner).sum(axis=0) * mask * inner * (1 - inner)
        adam(values, {"theta": slope}, state, step, 0.01)
    return values["theta"] * mask


def evp():
    """Wu et al. 2022: the gradient over the whole canvas divided by its norm, then its frame."""
    values, mask = np.zeros(SHAPE), 1 - INSIDE
    for _ in range(UPDATES):
        slope = slope_of_pixels(SMALL + values).sum(axis=0)
        values = values - 0.5 * mask * slope / (np.linalg.norm(slope) + 1e-10)
    return values


def low_rank(start):
    """Jin et al. 2025: B A added to every channel; SGD of 0.02, momentum 0.9, L2 of 1e-4."""
    values, speed = dict(start), {"left": 0.0, "right": 0.0}
    for _ in range(UPDATES):
        delta = np.stack([b @ a for b, a in zip(values["left"], values["right"], strict=True)], -1)
        slope = slope_of_pixels(IMAGES + delta).sum(axis=0).transpose(2, 0, 1)
        slopes = {
            "left": slope @ values["right"].transpose(0, 2, 1),
            "right": values["left"].transpose(0, 2, 1) @ slope,
        }
        for key, value in values.items():
            speed[key] = 0.9 * speed[key] + slopes[key] + 1e-4 * value
        values = {key: value - 0.02 * speed[key] for key, value in values.items()}
    return values


def color():
    """Enomoto 2025: a factor of 6 sigmoid(m), 1 at first; SGD, the gradient of m of norm 1."""
    values = np.full(SHAPE, np.log(1 / 5))
    for _ in range(UPDATES):
        share = 1 / (1 + np.exp(-values))
        slope = (slope_of_pixels(IMAGES * 6 * share) * IMAGES).sum(axis=0)
        slope *= 6 * share * (1 - share)
        values = values - 0.5 * slope / (np.linalg.norm(slope) + 1e-10)
    return values - np.log(1 / 5)


def trained(stage, images, start, optimizer):
    """The same with the library's stages and optimisers."""

    def loss(params):
        pixels = stage.apply(params, images)
        flat = ((pixels - MEAN) / STD).reshape(len(images), -1)
        logits = jnp.tanh(flat @ FIRST) @ SECOND
        return optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()

    @jax.jit
    def update(params, state):
        changes, state = optimizer.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, changes), state

    params, state = start, optimizer.init(start)
    for _ in range(UPDATES):
        params, state = update(params, state)
    return jax.device_get(params)


@pytest.fixture(autouse=True)
def in_float64():
    with jax.enable_x64(True):
        yield


def begun(stage):
    drawn = stage.init(jax.random.key(2), SHAPE)
    return jax.tree.map(lambda x: np.asarray(x, np.float64), drawn)


def close(found, expected):
    assert np.abs(found - expected).max() <= 1e-9 * np.abs(expected).max()


def test_the_frame_of_ilm_vp():
    stage = prompts.frame(2)
    found = trained(stage, SMALL, begun(stage), optimizers.by_name("adam", 0.01))
    drawn = np.asarray(prompts.pad(2).apply(found, np.zeros(SHAPE)))
    close(drawn, ilm_frame())


def test_the_frame_of_evp():
    stage = prompts.full(init="zeros")
    changes = gradients.by_text("unit | frame(2)")
    optimizer = optax.chain(changes, optimizers.by_name("sgd", 0.5))
    found = trained(stage, SMALL, begun(stage), optimizer)
    close(found["delta"], evp())


def test_lor_vp():
    stage = prompts.low_rank(2)
    start = begun(stage)
    optimizer = optimizers.by_name("sgd", 0.02, momentum=0.9, weight_decay=1e-4)
    found, expected = trained(stage, IMAGES, start, optimizer), low_rank(start)
    for key, value in expected.items():
        close(found[key], value)
        assert np.abs(value - start[key]).max() > 1e-3


def test_the_color_of_acavp():
    stage = prompts.color()
    unit = optax.stateless(
        lambda g, params: jax.tree.map(lambda x: x / (jnp.linalg.norm(x) + 1e-10), g)
    )
    optimizer = optax.chain(unit, optimizers.by_name("sgd", 0.5))
    found = trained(stage, IMAGES, begun(stage), optimizer)
    close(found["log_odds"], color())
