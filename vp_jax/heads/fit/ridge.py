"""A classifier in closed form, and how likely it makes labels: what features are worth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from vp_jax.errors import UserError
from vp_jax.heads.fit.likelihood import log_likelihood
from vp_jax.heads.temperature import fit_temperature

GRID = tuple(10.0**power for power in range(-6, 3))


class Score(NamedTuple):
    """What a ridge classifier makes of validation images.

    Attributes:
      likelihood: mean log-probability of the labels in nats, at most 0.
      accuracy: share of right answers.
    """

    likelihood: float
    accuracy: float


def ridge_score(
    features: ArrayLike, labels: ArrayLike, val_features: ArrayLike, val_labels: ArrayLike
) -> Score:
    """Scores features by ridge regression to the classes, in closed form.

    With features centred and of root mean square length 1, `W = (X^T X / N + r I)^-1 X^T Y / N` of
    one-hot labels Y less their mean. The strength r of the penalty is that under which the answers
    to each training image of a W that is made without it, which follow in closed form too (the
    leave-one-out formula of Allen, 1974), are most likely as logits, divided by the temperature
    that makes them so. Nothing is chosen by the validation images.

    Args:
      features, val_features: [N, D] and [M, D], finite.
      labels, val_labels: [N] and [M], integers from 0.

    Raises:
      UserError: features are not finite, or of one class only.
    """
    x, held_out = np.asarray(features, np.float64), np.asarray(val_features, np.float64)
    y, answers = np.asarray(labels), np.asarray(val_labels)
    if not (np.isfinite(x).all() and np.isfinite(held_out).all()):
        raise UserError("the features of an image are not finite: look at the backbone's weights")
    if len(np.unique(y)) < 2:
        raise UserError("features are scored on training images of at least 2 classes")
    classes = int(max(y.max(), answers.max())) + 1
    mean = x.mean(axis=0)
    scale = np.sqrt(np.square(x - mean).sum(axis=1).mean()) or 1.0
    x, held_out = (x - mean) / scale, (held_out - mean) / scale
    one_hot = np.eye(classes)[y]
    share = one_hot.mean(axis=0)
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    along = u.T @ (one_hot - share)
    best = None
    for r in GRID:
        kept = s**2 / (s**2 + len(x) * r)
        fitted = u @ (kept[:, None] * along)
        own = np.square(u) @ kept + 1 / len(x)  # what an image counts in its own answer
        missed = (one_hot - share - fitted) / np.maximum(1 - own, 1e-9)[:, None]
        left_out = one_hot - missed
        temperature = fit_temperature(left_out, y)
        found = log_likelihood(left_out / temperature, y)
        if best is None or found > best[0]:
            weights = vt.T @ ((kept / np.maximum(s, 1e-12))[:, None] * along)
            best = found, weights, temperature
    assert best is not None
    logits = (held_out @ best[1] + share) / best[2]
    return Score(log_likelihood(logits, answers), float((logits.argmax(axis=1) == answers).mean()))
