"""How far a model's confidence is from how often it is right."""

from __future__ import annotations

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
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    number = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(number, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(y))
