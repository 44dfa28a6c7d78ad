"""How far a model's confidence is from how often it is right."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vp_jax.errors import UserError

BINS = 15


def calibration_error(probabilities: ArrayLike, labels: ArrayLike, bins: int = BINS) -> float:
    """The expected calibration error, in [0, 1].

    Predictions are sorted into bins of equal width by their confidence, the probability of the most
    likely class; it is the mean over predictions of |accuracy - mean confidence| of their bin. Guo
    et al., "On Calibration of Modern Neural Networks" (1706.04599), with their 15 bins.

    Args:
      probabilities: of the classes, [N, K].
      labels: [N], integers.
      bins: how many.

    Raises:
      UserError: arrays of other shapes, or of nothing.

    >>> calibration_error([[0.9, 0.1], [0.9, 0.1]], [0, 1]).__round__(3)
    0.4
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels)
    if p.ndim != 2 or y.shape != p.shape[:1] or not p.size:
        raise UserError(
            f"a calibration error is of probabilities [N, K] and labels [N], got {p.shape} and "
            f"{y.shape}"
        )
    return reliability(p.max(axis=1), p.argmax(axis=1) == y, bins).error


class Reliability(NamedTuple):
    """Predictions in bins of equal width by their confidence.

    Attributes:
      counts: of predictions in each bin, int `[bins]`.
      confidence, accuracy: their means in each bin, `[bins]`; NaN in empty ones.
      error: the expected calibration error.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    error: float


def reliability(confidence: ArrayLike, right: ArrayLike, bins: int = BINS) -> Reliability:
    """How often predictions are right, by how sure they are; bins as in `calibration_error`.

    Args:
      confidence: the probability of each prediction, [N], at least one.
      right: whether it is right, bool [N].
      bins: how many.

    >>> reliability([0.9, 0.9, 0.2], [True, False, False], bins=2).counts.tolist()
    [1, 2]
    """
    sure, is_right = np.asarray(confidence, np.float64), np.asarray(right, bool)
    number = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(number, minlength=bins)
    totals = (np.bincount(number, weights=x, minlength=bins) for x in (sure, is_right))
    with np.errstate(invalid="ignore"):
        means, accuracy = (total / counts for total in totals)
    gaps = np.nan_to_num(np.abs(accuracy - means)) * counts
    return Reliability(counts, means, accuracy, float(gaps.sum() / len(sure)))
