"""The validation split, held out of the training examples."""

from __future__ import annotations

import numpy as np

from vp_jax.data.splits.permutation import HOLDOUT_STREAM, permutation
from vp_jax.errors import UserError


def stratified_holdout(
    labels: np.ndarray, fraction: float = 0.1, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Splits examples in two so that both parts have the class shares of the whole.

    The held-out part has `round(N * fraction)` examples. Each class gives its share, rounded down,
    and the classes with the largest remainders give one more. No class gives its last example, so
    with tiny classes the held-out part may be smaller. The choice depends on `labels`,
    `fraction` and `seed` only.

    Args:
      labels: integer `[N]`.
      fraction: the share to hold out, `0 <= fraction < 1`.
      seed: which examples are chosen.

    Returns:
      `(train, val)`: two sorted int64 index arrays that together hold every index once.

    Raises:
      UserError: the fraction or the seed is outside its range.
    """
    if not 0 <= fraction < 1:
        raise UserError(
            f"the validation fraction must be at least 0 and less than 1, not {fraction}"
        )
    labels = np.asarray(labels)
    order = permutation(len(labels), seed=seed, stream=HOLDOUT_STREAM)
    classes, counts = np.unique(labels, return_counts=True)
    held_out = np.zeros(len(labels), bool)
    for value, count in zip(classes, _allocate(counts, fraction), strict=True):
        held_out[order[labels[order] == value][:count]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _allocate(counts: np.ndarray, fraction: float) -> np.ndarray:
    """How many examples each class gives: int64 `[K]`, by the largest remainders."""
    shares = counts * fraction
    given = np.minimum(np.floor(shares).astype(np.int64), counts - 1)
    missing = round(float(counts.sum() * fraction)) - given.sum()
    remainders = shares - given
    by_remainder = np.argsort(-remainders, kind="stable")
    able = [k for k in by_remainder if remainders[k] > 1e-9 and given[k] < counts[k] - 1]
    given[able[: max(missing, 0)]] += 1
    return given
