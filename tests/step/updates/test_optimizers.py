import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vp_jax.errors import UserError
from vp_jax.step.updates import optimizers


def descend(optimizer, steps=5):
    params = jnp.array([1.0, -2.0])
    state = optimizer.init(params)
    for _ in range(steps):
        updates, state = optimizer.update(2 * params, state, params)
        params = optax.apply_updates(params, updates)
    return np.asarray(params)


def test_sgd_is_the_papers():
    """velocity = 0.9 velocity + gradient + decay * p; p = p - rate * velocity."""
    p, v = np.array([1.0, -2.0]), np.zeros(2)
    for _ in range(5):
        v = 0.9 * v + 2 * p + 0.1 * p
        p = p - 0.05 * v
    ours = optimizers.by_name("sgd", 0.05, momentum=0.9, weight_decay=0.1)
    np.testing.assert_allclose(descend(ours), p, rtol=1e-6)


def test_decoupled_weight_decay_is_the_optimizers_own():
    ours = optimizers.by_name("adamw", 0.1, weight_decay=0.3)
    np.testing.assert_array_equal(descend(ours), descend(optax.adamw(0.1, weight_decay=0.3)))


@pytest.mark.parametrize("name", ["adam", "lion", "rmsprop", "lamb", "adabelief", "sgd"])
def test_any_optimizer_of_optax(name):
    assert np.abs(descend(optimizers.by_name(name, 0.05, momentum=0.9))).sum() < 3


def test_settings_reach_optax():
    ours = optimizers.by_name("adam", 0.1, settings={"b1": 0.5})
    np.testing.assert_array_equal(descend(ours), descend(optax.adam(0.1, b1=0.5)))


def test_mistakes():
    with pytest.raises(UserError, match="did you mean 'adam'"):
        optimizers.by_name("adm", 0.1)
    with pytest.raises(UserError, match="unknown setting of the optimizer adam 'beta'"):
        optimizers.by_name("adam", 0.1, settings={"beta": 0.5})
