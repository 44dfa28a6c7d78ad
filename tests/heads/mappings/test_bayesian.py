"""Bayesian label mapping against its formulas, worked out by hand and by loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import heads
from vp_jax.errors import UserError


def by_definition(counts, smoothing):
    sources, classes = counts.shape
    p = np.zeros((sources, classes))
    for s in range(sources):
        for t in range(classes):
            p[s, t] = counts[s, t] / (smoothing + sum(counts[s]))
    return np.array([[p[s, t] / sum(p[:, t]) for t in range(classes)] for s in range(sources)])


def test_a_small_table_by_hand():
    counts = np.array([[3.0, 0.0], [1.0, 3.0], [0.0, 1.0]])
    # p = [[3/4, 0], [1/5, 3/5], [0, 1/2]]; columns sum to 19/20 and 11/10.
    expected = [[15 / 19, 0], [4 / 19, 6 / 11], [0, 5 / 11]]
    weights = heads.bayesian(smoothing=1.0).fit(counts)["weights"]
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 1.0, 7.5])
@pytest.mark.parametrize("make", [heads.bayesian, heads.bayesian_plus])
def test_weights_against_loops(make, smoothing):
    counts = np.random.default_rng(0).integers(0, 5, (9, 4)) + np.eye(9, 4)
    counts[:, 0] += 1  # every source class is predicted
    weights = make(smoothing).fit(counts)["weights"]
    np.testing.assert_allclose(weights, by_definition(counts, smoothing), rtol=1e-6)
    np.testing.assert_allclose(weights.sum(0), 1, rtol=1e-6)


def test_logits_and_not_probabilities_are_weighted():
    random = np.random.default_rng(1)
    logits = 30 * random.normal(size=(6, 9)).astype(np.float32)
    head = heads.bayesian()
    params = head.fit(random.integers(0, 5, (9, 4)).astype(np.float32))
    expected = logits.astype(np.float64) @ params["weights"]
    np.testing.assert_allclose(jax.jit(head.apply)(params, logits), expected, rtol=1e-4, atol=1e-4)
    gradient = jax.grad(lambda x: head.apply(params, x)[:, 2].sum())(jnp.asarray(logits))
    np.testing.assert_allclose(gradient[0], params["weights"][:, 2], rtol=1e-6)


def test_a_class_without_images_and_a_source_class_without_votes():
    counts = np.array([[2.0, 0.0], [0.0, 0.0], [2.0, 0.0]])
    for smoothing in (0.0, 1.0):
        weights = heads.bayesian(smoothing).fit(counts)["weights"]
        np.testing.assert_allclose(weights, [[0.5, 1 / 3], [0, 1 / 3], [0.5, 1 / 3]], rtol=1e-6)


@pytest.mark.parametrize(
    ("classes", "share", "k"),
    [(10, 0.15, 1), (100, 0.15, 15), (1, 0.15, 1), (3, 0.15, 1), (100, 0.29, 29), (100, 9, 40)],
)
def test_how_many_probabilities_an_image_gives(classes, share, k):
    votes = heads.bayesian_plus(top_share=share).votes
    sources, weights = jax.eval_shape(lambda x: votes(x, classes), jnp.zeros((2, 40)))
    assert sources.shape == weights.shape == (2, k)
    assert (sources.dtype, weights.dtype) == (jnp.int32, jnp.float32)


def test_the_largest_probabilities_are_summed_unnormalised():
    logits = np.log([[0.5, 0.3, 0.15, 0.05], [0.1, 0.2, 0.3, 0.4]]).astype(np.float32)
    votes = heads.bayesian_plus(top_share=1.0).votes(jnp.asarray(logits), 2)
    counts = heads.add_votes(heads.zero_counts(4, 2), votes, np.array([1, 0]), np.ones(2))
    expected = [[0, 0.5], [0, 0.3], [0.3, 0], [0.4, 0]]
    np.testing.assert_allclose(counts, expected, atol=1e-6)


def test_before_the_first_fit_all_logits_are_equal():
    """So that a run which forgets to fit has no gradient, and is refused."""
    head = heads.bayesian()
    params = head.init(None, 9, 4)
    logits = head.apply(params, np.random.default_rng(0).normal(size=(3, 9)))
    np.testing.assert_array_equal(logits, np.broadcast_to(logits[:, :1], (3, 4)))


@pytest.mark.parametrize("bad", [-1.0, np.inf, np.nan, "1", None, True])
def test_impossible_settings_are_refused(bad):
    with pytest.raises(UserError, match="head.smoothing"):
        heads.bayesian(bad)
    with pytest.raises(UserError, match="head.smoothing"):
        heads.bayesian_plus(bad)
    with pytest.raises(UserError, match="head.top_share"):
        heads.bayesian_plus(top_share=bad)


def test_a_share_of_zero_is_refused():
    with pytest.raises(UserError, match="head.top_share"):
        heads.bayesian_plus(top_share=0)


def test_another_backbones_logits_are_refused():
    head = heads.bayesian()
    with pytest.raises(UserError, match="9 inputs, but the backbone gives 8"):
        head.apply(head.init(None, 9, 4), np.zeros((2, 8)))
