import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax.step.margins import margins


def by_loops(logits, labels, tau):
    found = []
    for own, y in zip(logits, labels, strict=True):
        p = np.exp(own) / np.exp(own).sum(axis=1, keepdims=True)
        others = [k for k in range(len(p)) if k != y]
        one = max(max(p[k, k] for k in others) - p[y, y], -tau)
        two = np.mean([max(p[k, k] - max(np.delete(p[k], k)), -tau) for k in others])
        three = max(max(p[k, y] for k in others) - p[y, y], -tau)
        found.append(one + two + three)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("tau", [0.1, 0.0, 5.0])
def test_against_loops(tau):
    rng = np.random.default_rng(0)
    logits, labels = 2 * rng.normal(size=(7, 4, 4)), rng.integers(0, 4, 7)
    found = margins(jnp.asarray(logits, jnp.float32), jnp.asarray(labels), tau)
    np.testing.assert_allclose(found, by_loops(logits, labels, tau), rtol=1e-5)


@pytest.mark.slow(seconds=4)
def test_prompts_that_keep_their_distance_owe_nothing():
    """An image of class 0, which its own prompt sees as such, and the others as none of theirs."""
    logits = 20.0 * jnp.asarray([[[1, 0, 0], [0, 0, 1], [0, 1, 0]]])
    label = jnp.array([0])
    np.testing.assert_allclose(margins(logits, label), -0.3, atol=1e-6)
    assert not np.any(jax.grad(lambda z: margins(z, label).sum())(logits))
    assert np.all(margins(jnp.zeros((1, 3, 3)), label) == 0)
    assert np.any(jax.grad(lambda z: margins(z, label).sum())(jnp.zeros((1, 3, 3))))
