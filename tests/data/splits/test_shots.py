"""Few-shot subsets: balanced, nested, and the same for ever."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from vp_jax.data.splits.permutation import HOLDOUT_STREAM, permutation
from vp_jax.data.splits.shots import SHOTS_STREAM, few_shot
from vp_jax.errors import UserError


def random_labels(count: int):
    rng = np.random.default_rng(0)
    for seed in range(count):
        classes = int(rng.integers(1, 20))
        weights = rng.dirichlet(np.full(classes, rng.choice([0.2, 1.0, 50.0])))
        yield rng.choice(classes, size=int(rng.integers(1, 300)), p=weights), seed


def test_properties():
    for labels, seed in random_labels(200):
        before = np.zeros(0, np.int64)
        for shots in (1, 2, 4, 8, 16, 1000):
            chosen = few_shot(labels, shots, seed)
            assert chosen.dtype == np.int64 and np.all(np.diff(chosen) > 0)
            counts = np.bincount(labels)
            np.testing.assert_array_equal(
                np.bincount(labels[chosen], minlength=len(counts)), np.minimum(counts, shots)
            )
            assert set(before) <= set(chosen)
            before = chosen
        np.testing.assert_array_equal(before, np.arange(len(labels)))


def test_seeds():
    labels = np.arange(1000) % 10
    chosen = [tuple(few_shot(labels, 4, seed)) for seed in range(20)]
    assert len(set(chosen)) == 20
    assert chosen[0] == tuple(few_shot(labels, 4))


def test_a_class_does_not_depend_on_other_classes_sizes():
    labels = np.zeros(300, np.int64)
    other = labels.copy()
    other[::7] = 5
    chosen = few_shot(other, 300, 3)
    assert len(chosen) == 300
    kept = set(few_shot(labels, 50, 3)) - set(range(0, 300, 7))
    assert kept <= set(few_shot(other, 50, 3))


def test_all_examples_of_a_class_are_equally_likely():
    labels = np.zeros(20, np.int64)
    counts = np.zeros(20)
    for seed in range(2000):
        counts[few_shot(labels, 5, seed)] += 1
    assert np.all(np.abs(counts - 500) < 5 * np.sqrt(2000 * 0.25 * 0.75))


def test_labels_of_any_integer_dtype_and_value():
    labels = np.array([7, 7, -3, -3, 7, -3] * 10)
    for dtype in (np.int8, np.int32, np.int64):
        np.testing.assert_array_equal(few_shot(labels.astype(dtype), 4), few_shot(labels, 4))


def test_no_examples():
    chosen = few_shot(np.zeros(0, np.int32), 4)
    assert chosen.shape == (0,) and chosen.dtype == np.int64


def test_independent_of_the_held_out_examples():
    assert SHOTS_STREAM != HOLDOUT_STREAM
    orders = [permutation(50, seed=0, stream=s) for s in (SHOTS_STREAM, HOLDOUT_STREAM, 0)]
    assert len({tuple(order) for order in orders}) == 3


def test_never_changes():
    chosen = few_shot(np.arange(5000) % 100, 16, seed=3)
    assert list(chosen[:8]) == FIRST
    assert hashlib.sha256(chosen.astype("<i8").tobytes()).hexdigest() == SHA256


@pytest.mark.parametrize("shots", [0, -1])
def test_bad_shots(shots):
    with pytest.raises(UserError, match=f"shots is {shots}; it must be at least 1"):
        few_shot(np.zeros(7, np.int32), shots)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_bad_seed(seed):
    with pytest.raises(UserError, match="seed must be"):
        few_shot(np.zeros(7, np.int32), 1, seed)


FIRST = [7, 15, 18, 19, 20, 21, 24, 25]
SHA256 = "429172ba6a38447b2b832f004695b33df055940b40774e318b6b249c0ecec70d"
