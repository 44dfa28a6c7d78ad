"""Batches: every example once an epoch, from the step alone, partial batches masked."""

from __future__ import annotations

import numpy as np
import pytest

from vp_jax.data.splits.batches import eval_batches, steps_per_epoch, train_indices
from vp_jax.errors import UserError

SIZES = [(1, 1), (1, 8), (7, 8), (8, 8), (9, 8), (100, 32), (96, 32), (13, 1)]


@pytest.mark.parametrize(("count", "batch_size"), SIZES)
def test_every_example_once_an_epoch(count, batch_size):
    steps = steps_per_epoch(count, batch_size)
    assert steps == int(np.ceil(count / batch_size))
    for epoch in range(3):
        batches = [
            train_indices(epoch * steps + i, count, batch_size, seed=5) for i in range(steps)
        ]
        for indices, mask in batches:
            assert indices.shape == mask.shape == (batch_size,)
            assert indices.dtype == np.int64 and mask.dtype == bool
            assert np.all(indices[~mask] == 0)
        assert all(mask.all() for _, mask in batches[:-1])
        seen = np.concatenate([indices[mask] for indices, mask in batches])
        np.testing.assert_array_equal(np.sort(seen), np.arange(count))


@pytest.mark.parametrize(("count", "batch_size"), SIZES)
def test_eval_has_every_example_once_in_order(count, batch_size):
    batches = list(eval_batches(count, batch_size))
    assert len(batches) == steps_per_epoch(count, batch_size)
    assert all(i.shape == m.shape == (batch_size,) for i, m in batches)
    seen = np.concatenate([indices[mask] for indices, mask in batches])
    np.testing.assert_array_equal(seen, np.arange(count))


def test_any_step_without_those_before():
    in_order = [train_indices(step, 50, 8, seed=1)[0] for step in range(40)]
    for step in np.random.default_rng(0).permutation(40):
        np.testing.assert_array_equal(train_indices(int(step), 50, 8, seed=1)[0], in_order[step])


def test_epochs_and_seeds_differ():
    orders = {tuple(train_indices(e, 64, 64, seed=s)[0]) for e in range(5) for s in range(5)}
    assert len(orders) == 25


def test_result_may_be_written_to():
    train_indices(0, 8, 8, seed=0)[0][:] = -1
    assert train_indices(0, 8, 8, seed=0)[0].min() == 0


def test_mistakes():
    for count, batch_size in [(0, 8), (-1, 8), (8, 0)]:
        with pytest.raises(UserError):
            steps_per_epoch(count, batch_size)
        with pytest.raises(UserError):
            list(eval_batches(count, batch_size))
        with pytest.raises(UserError):
            train_indices(0, count, batch_size, seed=0)
    with pytest.raises(UserError, match="step"):
        train_indices(-1, 8, 8, seed=0)
    with pytest.raises(UserError, match="seed"):
        train_indices(0, 8, 8, seed=-1)
