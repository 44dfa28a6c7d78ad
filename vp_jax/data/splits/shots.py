"""Few-shot subsets: the same few examples of every class, and more of them for more shots."""

from __future__ import annotations

import numpy as np

from vp_jax.data.splits.permutation import permutation
from vp_jax.errors import UserError

SHOTS_STREAM = 2**64 - 2
"""Of `permutation`: beside the held-out examples' and the epochs' orders."""


def few_shot(labels: np.ndarray, shots: int, seed: int = 0) -> np.ndarray:
    """Chooses `shots` examples of every class; a class that has fewer gives all.

    For one seed the subsets are nested: those of 4 shots are among those of 8. The choice depends
    on the arguments only, not on the version of NumPy.

    Args:
      labels: integer `[N]`.
      shots: examples a class, at least 1.
      seed: which examples are chosen.

    Returns:
      Sorted int64 positions in `labels`.

    Raises:
      UserError: `shots` is below 1, or the seed is outside its range.
    """
    if shots < 1:
        raise UserError(f"shots is {shots}; it must be at least 1 example a class")
    labels = np.asarray(labels)
    order = permutation(len(labels), seed=seed, stream=SHOTS_STREAM)
    chosen = [order[labels[order] == value][:shots] for value in np.unique(labels)]
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, np.int64)
