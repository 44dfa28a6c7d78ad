"""Heads that stand on others: `residual` and `temperature`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import heads
from vp_jax.errors import UserError

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(7, 6)).astype(np.float32)
TEXTS = np.linalg.qr(RNG.normal(size=(6, 4)))[0].T.astype(np.float32)
BASES = {
    "text": heads.text(TEXTS, 20.0),
    "first_k": heads.first_k(),
    "frequency": heads.frequency(),
    "bayesian": heads.bayesian(),
    "descriptions": heads.descriptions([[row[None] for row in TEXTS]], 20.0),
}
COUNTS = RNG.integers(0, 9, (6, 4)).astype(np.float32)


def params_of(head):
    params = head.init(jax.random.key(0), 6, 4)
    return params if head.fit is None else {**params, **head.fit(COUNTS)}


@pytest.mark.slow
@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("make", [heads.residual, heads.temperature])
def test_they_begin_as_what_they_stand_on(make, name):
    head, base = make(BASES[name]), BASES[name]
    params = params_of(head)
    own, others = heads.split(head, params)
    jax.tree.map(np.testing.assert_array_equal, others, params_of(base))
    logits = head.apply(params, FEATURES)
    np.testing.assert_array_equal(logits, base.apply(others, FEATURES))
    assert (head.takes, head.refit, head.trainable) == (base.takes, base.refit, True)
    assert set(own) == set(head.own)
    labels = np.arange(7) % 4

    def loss(own):
        log_p = jax.nn.log_softmax(head.apply({**others, **own}, FEATURES))
        return -log_p[np.arange(7), labels].mean()

    assert all(np.any(g) for g in jax.tree.leaves(jax.grad(loss)(own)))


@pytest.mark.parametrize("name", ["text", "first_k", "frequency", "bayesian"])
def test_a_residual_is_one_layer(name):
    head = heads.residual(BASES[name])
    params = {**params_of(head), "residual": jnp.float32(RNG.normal(size=(4, 4)))}
    f = np.asarray(BASES[name].apply(params, FEATURES), np.float64)
    expected = f @ (np.eye(4) + np.asarray(params["residual"], np.float64))
    np.testing.assert_allclose(head.apply(params, FEATURES), expected, rtol=1e-5, atol=1e-5)
    layer = heads.linear() if head.takes == "features" else heads.fully_connected()
    seen = FEATURES / np.linalg.norm(FEATURES, axis=1, keepdims=True)
    x = seen if name == "text" else FEATURES
    folded = layer.apply(heads.fold(params, 6), x)
    np.testing.assert_allclose(folded, expected, rtol=1e-5, atol=1e-5)


def test_a_temperature_divides():
    head = heads.temperature(BASES["text"])
    params = {**params_of(head), "log_temperature": jnp.log(2.0)}
    half = BASES["text"].apply(params, FEATURES) / 2
    np.testing.assert_allclose(head.apply(params, FEATURES), half, rtol=1e-6)


@pytest.mark.parametrize("true", [0.3, 1.0, 7.0])
def test_the_temperature_is_that_of_the_labels(true):
    """Labels drawn from a softmax at a temperature are most likely at it."""
    z = 3 * RNG.normal(size=(20_000, 5))
    p = np.exp(z / true - (z / true).max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    labels = (RNG.random((len(z), 1)) > p.cumsum(axis=1)).sum(axis=1)
    found = heads.fit_temperature(z, labels)
    assert found == pytest.approx(true, rel=0.05)

    def loss(t):
        scaled = z / t
        top = scaled.max(axis=1)
        log_sum = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return (log_sum - scaled[np.arange(len(z)), labels]).mean()

    assert loss(found) <= min(loss(found * 0.99), loss(found * 1.01), loss(true))


def test_restored_heads_apply_the_same():
    params = {**params_of(heads.residual(BASES["bayesian"])), "residual": np.ones((4, 4))}
    found = heads.restored("residual", "bayesian").apply(params, FEATURES)
    np.testing.assert_array_equal(found, heads.residual(BASES["bayesian"]).apply(params, FEATURES))


def test_mistakes():
    with pytest.raises(UserError, match="'linear' does"):
        heads.residual(heads.linear())
    with pytest.raises(UserError, match="'residual' does"):
        heads.temperature(heads.residual(heads.first_k()))
    with pytest.raises(UserError, match="no single layer"):
        heads.fold(params_of(heads.residual(BASES["descriptions"])), 6)
    with pytest.raises(UserError, match=r"got \(2, 3\) and \(3,\)"):
        heads.fit_temperature(np.zeros((2, 3)), np.zeros(3, int))
