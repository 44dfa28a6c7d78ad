import jax
import numpy as np
import optax
import pytest
import tiny_model

from vp_jax.step import step as step_lib
from vp_jax.step.updates.averaging import averaged, moving


def run(optimizer, steps):
    step = jax.jit(step_lib.make_train_step(tiny_model.forward, optimizer))
    state, every = tiny_model.state(optimizer), []
    for i in range(steps):
        state, _ = step(state, tiny_model.frozen(), tiny_model.batch(seed=i))
        every.append(state)
    return every


def leaf(tree):
    return np.asarray(tree["prompt"]["top"], np.float64)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_the_mean_is_of_the_steps_of_the_plain_run(decay):
    """The parameters that move are those of the run without a mean, bit for bit."""
    plain, found = run(optax.sgd(0.1, 0.9), 5), run(averaged(optax.sgd(0.1, 0.9), decay), 5)
    for t, state in enumerate(found):
        np.testing.assert_array_equal(
            leaf(moving(state.opt_state, state.tuned)), leaf(plain[t].tuned)
        )
        weights = decay ** np.arange(t, -1, -1)
        mean = sum(w * leaf(p.tuned) for w, p in zip(weights, plain, strict=False)) / weights.sum()
        np.testing.assert_allclose(leaf(state.tuned), mean, rtol=1e-5, atol=1e-6)


def test_a_decay_of_one_is_the_mean_of_all():
    found, plain = run(averaged(optax.adam(0.1), 1.0), 4), run(optax.adam(0.1), 4)
    mean = np.mean([leaf(state.tuned) for state in plain], axis=0)
    np.testing.assert_allclose(leaf(found[-1].tuned), mean, rtol=1e-5, atol=1e-6)


def test_without_a_mean_the_parameters_are_those_that_move():
    state = tiny_model.state()
    assert moving(state.opt_state, state.tuned) is state.tuned
