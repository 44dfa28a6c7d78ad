import jax
import numpy as np
import pytest

from vp_jax import heads
from vp_jax.errors import UserError

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(5, 8)).astype(np.float32)


def units(count):
    x = RNG.normal(size=(count, 8)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def logits(head, classes):
    return np.asarray(jax.jit(head.apply)(head.init(None, 8, classes), FEATURES))


def test_one_text_a_class_is_the_text_head():
    texts = units(3)
    found = logits(heads.descriptions([[row[None] for row in texts]], 30.0), 3)
    np.testing.assert_allclose(found, logits(heads.text(texts, 30.0), 3), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("best", [1, 3, 50])
def test_the_mean_of_the_best_of_each_kind(best):
    """Against the definition, with different numbers of texts."""
    kinds = [[units(4), units(2)], [units(3), units(5)]]
    x = FEATURES / np.linalg.norm(FEATURES, axis=1, keepdims=True)
    expected = np.zeros((5, 2))
    for kind in kinds:
        for label, own in enumerate(kind):
            similar = np.sort(x @ own.T, axis=1)[:, ::-1][:, :best]
            expected[:, label] += 10 * similar.mean(axis=1) / 2
    found = logits(heads.descriptions(kinds, 10.0, best), 2)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_images_have_a_gradient():
    head = heads.descriptions([[units(4), units(2)]], 10.0)
    params = head.init(None, 8, 2)
    slope = jax.grad(lambda x: head.apply(params, x)[:, 0].sum())(FEATURES)
    assert np.isfinite(slope).all() and (slope != 0).all()


def test_mistakes():
    with pytest.raises(UserError, match="length 1"):
        heads.descriptions([[2 * units(3)]], 10.0)
    with pytest.raises(UserError, match="same classes for every kind"):
        heads.descriptions([[units(3)], [units(3), units(3)]], 10.0)
    with pytest.raises(UserError, match=r"text_features must be \[classes, width\]"):
        heads.descriptions([[np.zeros((0, 8))]], 10.0)
    with pytest.raises(UserError, match="3 classes"):
        heads.descriptions([[units(1), units(1)]], 10.0).init(None, 8, 3)
    with pytest.raises(UserError, match="at least 1, got 0"):
        heads.descriptions([[units(1)]], 10.0, 0)
