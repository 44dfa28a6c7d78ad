"""Which examples go into which batch: a function of seed and step, so any run can resume."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from vp_jax.data.splits.permutation import permutation
from vp_jax.errors import UserError


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Batches that hold each of `count` examples once, the last of them perhaps partial.

    Raises:
      UserError: there are no examples, or the batch size is below 1.
    """
    if count < 1:
        raise UserError(f"there are no examples to make batches of (count = {count})")
    if batch_size < 1:
        raise UserError(f"the batch size must be at least 1, not {batch_size}")
    return -(-count // batch_size)


def train_indices(
    step: int, count: int, batch_size: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The examples of one training step, counted from 0 over all epochs.

    Every epoch has its own order and holds every example once. The last batch of an epoch may be
    partial: it is filled up with index 0 and masked.

    Args:
      step: which batch.
      count: how many examples there are.
      batch_size: B.
      seed: of the order.

    Returns:
      `(indices, mask)`: int64 `[B]`, and bool `[B]`, false where the index only fills up.

    Raises:
      UserError: no examples, a batch size below 1, a step below 0, a seed out of range.
    """
    if step < 0:
        raise UserError(f"the step must be at least 0, not {step}")
    epoch, position = divmod(step, steps_per_epoch(count, batch_size))
    start = position * batch_size
    return _pad(_epoch_order(count, seed, epoch)[start : start + batch_size], batch_size)


def eval_indices(number: int, count: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """The examples of one batch of a split in order.

    Args:
      number: which batch, from 0 up to `steps_per_epoch(count, batch_size)`.
      count: how many examples there are.
      batch_size: B.

    Returns:
      `(indices, mask)` as `train_indices` returns them; only the last may be partial.
    """
    start = number * batch_size
    return _pad(np.arange(start, min(start + batch_size, count)), batch_size)


def eval_batches(count: int, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All examples once, in order, in batches of one size.

    Yields:
      `(indices, mask)` of every batch, as `eval_indices` returns them.

    Raises:
      UserError: there are no examples, or the batch size is below 1.
    """
    for number in range(steps_per_epoch(count, batch_size)):
        yield eval_indices(number, count, batch_size)


@functools.lru_cache(maxsize=4)
def _epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    order = permutation(count, seed=seed, stream=epoch)
    order.flags.writeable = False
    return order


def _pad(indices: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    padded = np.zeros(batch_size, np.int64)
    padded[: len(indices)] = indices
    return padded, np.arange(batch_size) < len(indices)
