"""Intervals and tests of counts, against scipy's."""

import numpy as np
import pytest
from scipy import stats

from vp_jax.report.significance import EXACT_BELOW, mcnemar, wilson


def answers(both, one, other, neither):
    """What two models have right, in an order that tells nothing."""
    pairs = [(1, 1)] * both + [(1, 0)] * one + [(0, 1)] * other + [(0, 0)] * neither
    found = np.random.default_rng(0).permutation(np.array(pairs, bool).reshape(-1, 2))
    return found[:, 0], found[:, 1]


@pytest.mark.parametrize(("right", "count"), [(0, 7), (1, 7), (50, 100), (433, 500), (9, 9)])
def test_wilson_is_scipys(right, count):
    expected = stats.binomtest(right, count).proportion_ci(method="wilson")
    assert wilson(right, count) == pytest.approx((expected.low, expected.high), abs=1e-6)


@pytest.mark.parametrize("one", range(0, EXACT_BELOW, 3))
@pytest.mark.parametrize("other", [0, 1, 8])
def test_few_images_are_counted_exactly(one, other):
    found = mcnemar(*answers(40, one, other, 7))
    assert (found.only_one, found.only_other) == (one, other)
    assert found.exact == (one + other < EXACT_BELOW)
    if found.exact and one + other:
        assert found.p == pytest.approx(stats.binomtest(one, one + other, 0.5).pvalue)


@pytest.mark.parametrize(("one", "other"), [(30, 5), (23, 42), (400, 401), (900, 300), (13, 12)])
def test_many_are_compared_with_chi_squared(one, other):
    found = mcnemar(*answers(10, one, other, 10))
    statistic = (abs(one - other) - 1) ** 2 / (one + other)
    assert not found.exact and found.p == pytest.approx(stats.chi2.sf(statistic, 1))


def test_no_difference_is_no_evidence():
    right = np.array([True, False, True])
    assert mcnemar(right, right).p == 1.0
    assert mcnemar(*answers(0, 20, 20, 0)).p == pytest.approx(1.0)


def test_both_sides_give_the_same():
    one, other = answers(5, 17, 3, 5)
    assert mcnemar(one, other).p == mcnemar(other, one).p
