"""ACAVP's colour prompt after 20 updates in float64, against its formula in numpy.

The frozen network is `tanh(x A) B`, and the gradient is derived by hand.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vp_jax import prompts
from vp_jax.step.updates import gradients, optimizers

NUMBERS = np.random.default_rng(0)
IMAGES, LABELS = NUMBERS.uniform(size=(10, 8, 8, 3)), NUMBERS.integers(0, 4, 10)
FIRST, SECOND = NUMBERS.normal(size=(192, 9)) / 8, NUMBERS.normal(size=(9, 4))
UPDATES = 20


def by_hand():
    """Enomoto 2025: a factor of 6 sigmoid(m), 1 at first; SGD, the gradient of m of norm 1."""
    values = np.full(IMAGES.shape[1:], np.log(1 / 5))
    for _ in range(UPDATES):
        share = 1 / (1 + np.exp(-values))
        hidden = np.tanh((IMAGES * 6 * share).reshape(10, -1) @ FIRST)
        logits = hidden @ SECOND
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        slope = (chances - np.eye(4)[LABELS]) / len(LABELS) @ SECOND.T * (1 - hidden**2)
        slope = ((slope @ FIRST.T).reshape(IMAGES.shape) * IMAGES).sum(axis=0)
        slope *= 6 * share * (1 - share)
        values = values - 0.5 * slope / (np.linalg.norm(slope) + 1e-10)
    return values - np.log(1 / 5)


def test_the_color_of_acavp():
    stage = prompts.color()
    optimizer = optax.chain(gradients.by_text("unit_arrays"), optimizers.by_name("sgd", 0.5))
    params = {"log_odds": np.zeros(IMAGES.shape[1:])}

    @jax.jit
    def update(params, state):
        def loss(params):
            pixels = stage.apply(params, IMAGES).reshape(10, -1)
            logits = jnp.tanh(pixels @ FIRST) @ SECOND
            return optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()

        changes, state = optimizer.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, changes), state

    state = optimizer.init(params)
    for _ in range(UPDATES):
        params, state = update(params, state)
    expected = by_hand()
    assert np.abs(params["log_odds"] - expected).max() <= 1e-9 * np.abs(expected).max()
