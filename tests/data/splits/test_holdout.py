"""The held-out split: complete, disjoint, stratified, and the same for ever."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from vp_jax.data.splits.holdout import stratified_holdout
from vp_jax.data.splits.permutation import permutation
from vp_jax.errors import UserError


def random_cases(count: int):
    rng = np.random.default_rng(0)
    for _ in range(count):
        classes = int(rng.integers(1, 30))
        weights = rng.dirichlet(np.full(classes, rng.choice([0.1, 1.0, 100.0])))
        labels = rng.choice(classes, size=int(rng.integers(0, 400)), p=weights)
        yield (
            labels,
            float(rng.choice([0.0, 0.05, 0.1, 0.3, 0.5, 0.9, 0.999])),
            int(rng.integers(9)),
        )


def test_properties():
    for labels, fraction, seed in random_cases(400):
        train, val = stratified_holdout(labels, fraction, seed)
        assert train.dtype == val.dtype == np.int64
        np.testing.assert_array_equal(np.sort(np.r_[train, val]), np.arange(len(labels)))
        assert np.all(np.diff(train) > 0) and np.all(np.diff(val) > 0)

        wanted = round(len(labels) * fraction)
        assert len(val) <= wanted
        counts = np.bincount(labels, minlength=30)
        held_out = np.bincount(labels[val], minlength=30)
        assert np.all(np.abs(held_out - counts * fraction) < 1)
        assert np.all((counts == 0) | (held_out < counts))  # No class loses its last example.
        if len(val) < wanted:  # Only because no class had one more to give.
            shares = counts * fraction
            spare = (held_out < counts - 1) & (shares - np.floor(shares) > 1e-6)
            assert np.all(held_out[spare] > np.floor(shares)[spare])


def test_exact_shares():
    labels = np.repeat(np.arange(10), 50)
    train, val = stratified_holdout(labels, 0.1, seed=3)
    np.testing.assert_array_equal(np.bincount(labels[val]), np.full(10, 5))
    assert len(train) == 450


def test_tiny_classes():
    train, val = stratified_holdout(np.array([0, 1, 1, 2, 2, 2, 2]), 0.5, seed=0)
    assert len(val) == 3  # One of the two, two of the four.
    assert 0 in train
    train, val = stratified_holdout(np.arange(20), 0.5, seed=0)
    assert len(val) == 0  # Every class has one example only.


def test_seeds():
    labels = np.arange(1000) % 10
    splits = [tuple(stratified_holdout(labels, 0.1, seed)[1]) for seed in range(20)]
    assert len(set(splits)) == 20
    assert splits[0] == tuple(stratified_holdout(labels, 0.1, 0)[1])


def test_labels_of_any_integer_dtype_and_value():
    labels = np.array([7, 7, -3, -3, 7, -3] * 10)
    for dtype in (np.int8, np.int32, np.int64):
        np.testing.assert_array_equal(
            stratified_holdout(labels.astype(dtype))[1], stratified_holdout(labels)[1]
        )


def test_zero_fraction():
    train, val = stratified_holdout(np.zeros(7, np.int32), 0.0)
    assert len(train) == 7 and val.shape == (0,) and val.dtype == np.int64


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 1.5, float("nan")])
def test_bad_fraction(fraction):
    with pytest.raises(UserError, match="fraction must be"):
        stratified_holdout(np.zeros(7, np.int32), fraction)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_bad_seed(seed):
    with pytest.raises(UserError, match="seed must be"):
        stratified_holdout(np.zeros(7, np.int32), 0.1, seed)


def test_permutation_never_changes():
    np.testing.assert_array_equal(permutation(8, seed=0, stream=0), PERMUTATION)
    digest = hashlib.sha256(permutation(10_000, seed=17, stream=3).astype("<i8").tobytes())
    assert digest.hexdigest() == PERMUTATION_SHA256


PERMUTATION = [0, 2, 1, 5, 4, 3, 6, 7]
PERMUTATION_SHA256 = "22c476aeb4cccb6c926fa0a10db6ae1f020becc8825b8bfcf607efc390f33798"
