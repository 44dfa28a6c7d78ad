import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import heads
from vp_jax.errors import UserError

COUNTS = np.array([[5, 0, 0], [3, 0, 1], [0, 0, 9], [1, 0, 1]], np.float32)
LOGITS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("many", "one"),
    [(heads.mean_frequency, heads.frequency), (heads.mean_iterative, heads.iterative)],
)
def test_one_source_class_is_frequency_with_shared_ones(many, one):
    head, other = many(1), one(many_to_one=True)
    assert head.refit == other.refit
    found, expected = (h.apply(h.fit(COUNTS), LOGITS) for h in (head, other))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_mean_of_the_most_frequent():
    """Ties go to the lowest; the class without images takes what nobody counted first."""
    weights = heads.mean_frequency(2).fit(COUNTS)["weights"]
    expected = [[0.5, 0, 0], [0.5, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
    unseen = weights[:, 1].copy()
    weights[:, 1] = 0
    np.testing.assert_array_equal(weights, expected)
    assert sorted(unseen) == [0, 0, 0, 1]
    fewer = heads.mean_frequency(4).fit(COUNTS)["weights"][:, 0]
    np.testing.assert_allclose(fewer, [1 / 3, 1 / 3, 0, 1 / 3])


def test_logits_are_means():
    head = heads.mean_frequency(2)
    params = head.fit(COUNTS)
    found = head.apply(params, jnp.asarray(LOGITS))
    np.testing.assert_allclose(found[:, 0], LOGITS[:, :2].mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found[:, 2], LOGITS[:, 1:3].mean(axis=1), rtol=1e-5)


def test_mistakes():
    with pytest.raises(UserError, match="at least 1, got 0"):
        heads.mean_frequency(0)
