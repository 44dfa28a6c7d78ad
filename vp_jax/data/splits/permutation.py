"""Seeded permutations that are the same for every version of NumPy."""

from __future__ import annotations

import numpy as np

from vp_jax.errors import UserError

# Streams 0, 1, 2, ... are the epochs of the training order; what must not collide with them counts
# down from the top.
HOLDOUT_STREAM = 2**64 - 1


def permutation(count: int, *, seed: int, stream: int) -> np.ndarray:
    """A random order of `0 .. count - 1` that depends on nothing but the arguments.

    It sorts the raw output of the counter-based generator Philox with the key `(seed, stream)`.
    NumPy promises that raw output for good, which it does not for `Generator.permutation`.

    Args:
      count: how many numbers to order.
      seed: the run's seed, `0 <= seed < 2**64`.
      stream: which of the independent orders of this seed, `0 <= stream < 2**64`.

    Returns:
      int64 `[count]`.

    Raises:
      UserError: the seed is outside its range.
    """
    if not 0 <= seed < 2**64:
        raise UserError(f"the seed must be at least 0 and below 2**64, not {seed}")
    generator = np.random.Philox(key=np.array([seed, stream], np.uint64))
    return np.argsort(generator.random_raw(count), kind="stable").astype(np.int64)
