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
@pytest.mark.parametrize("share", [False, True])
def test_one_source_class_is_frequency(many, one, share):
    head, other = many(1, many_to_one=share), one(many_to_one=share)
    assert head.refit == other.refit
    found, expected = (h.apply(h.fit(COUNTS), LOGITS) for h in (head, other))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_mean_of_the_most_frequent_which_may_be_shared():
    """Ties go to the lowest; the class without images takes what nobody counted first."""
    weights = heads.mean_frequency(2, many_to_one=True).fit(COUNTS)["weights"]
    expected = [[0.5, 0, 0], [0.5, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
    unseen = weights[:, 1].copy()
    weights[:, 1] = 0
    np.testing.assert_array_equal(weights, expected)
    assert sorted(unseen) == [0, 0, 0, 1]
    fewer = heads.mean_frequency(4, many_to_one=True).fit(COUNTS)["weights"][:, 0]
    np.testing.assert_allclose(fewer, [1 / 3, 1 / 3, 0, 1 / 3])


def test_no_source_class_is_taken_twice():
    """Of the largest counts first: 9, 8, 7, 6; class 1 is left with what it has one count of."""
    counts = np.array([[8, 7, 0], [6, 5, 9], [0, 0, 7], [0, 1, 0], [0, 0, 0], [2, 0, 0]])
    weights = heads.mean_frequency(2).fit(counts)["weights"]
    expected = np.zeros((6, 3))
    expected[[0, 5], 0] = expected[[1, 2], 2] = 0.5
    expected[3, 1] = 1  # and none that was never predicted
    np.testing.assert_array_equal(weights, expected)
    none = heads.mean_frequency(2).fit(np.zeros((6, 3)))["weights"]
    assert (none.sum(axis=0) == 1).all() and none.max() == 1 and none.sum(axis=1).max() == 1


def test_logits_are_means():
    head = heads.mean_frequency(2, many_to_one=True)
    params = head.fit(COUNTS)
    found = head.apply(params, jnp.asarray(LOGITS))
    np.testing.assert_allclose(found[:, 0], LOGITS[:, :2].mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found[:, 2], LOGITS[:, 1:3].mean(axis=1), rtol=1e-5)


def test_mistakes():
    with pytest.raises(UserError, match="at least 1, got 0"):
        heads.mean_frequency(0)
    with pytest.raises(UserError, match="many_to_one must be True or False, got 1"):
        heads.mean_iterative(many_to_one=1)
    head = heads.mean_frequency(2)
    few = r"each of the 3 classes 2 source classes .* only 4; take a smaller --config.head.sources"
    with pytest.raises(UserError, match=few):
        head.init(None, 4, 3)
    with pytest.raises(UserError, match=few):
        head.fit(COUNTS)
