"""Which test images a report shows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vp_jax.records.predictions_file import OnTest

MOST = 6
"""Images of a kind."""


class Choice(NamedTuple):
    """Rows of the test split, int `[n]` each.

    Attributes:
      examples: one each of some classes.
      gains: wrong before training and right after it, those first whose class gained most
        probability; without a model before, those that are right and surest.
      losses: right before and wrong after, those first whose class lost most; without a model
        before, those that are wrong and surest.
    """

    examples: np.ndarray
    gains: np.ndarray
    losses: np.ndarray

    def every(self) -> np.ndarray:
        """All of them, each once, ascending."""
        return np.unique(np.concatenate(self)).astype(int)


def choose(found: OnTest, most: int = MOST) -> Choice:
    """What of a run's test images tells most of it."""
    right = found.tuned.predictions == found.labels
    if found.before is None:
        gains, losses = right, ~right
        gained = np.where(right, 1.0, -1.0) * found.tuned.confidence
    else:
        was_right = found.before.predictions == found.labels
        gains, losses = right & ~was_right, was_right & ~right
        gained = found.tuned.of_label - found.before.of_label
    order = np.argsort(-gained, kind="stable")
    best, worst = order[gains[order]], order[::-1][losses[order[::-1]]]
    return Choice(spread(found.labels, most), best[:most], worst[:most])


def spread(labels: np.ndarray, count: int) -> np.ndarray:
    """The first example of each of `count` classes spread over all, as sorted positions."""
    classes, first = np.unique(labels, return_index=True)
    chosen = np.linspace(0, len(classes) - 1, min(count, len(classes))).round().astype(int)
    return np.sort(first[chosen])
