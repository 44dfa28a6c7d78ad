"""The test images of each class: how many are right, before training and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vp_jax.records.predictions_file import OnTest
from vp_jax.report.page.figures.classes import by_class
from vp_jax.report.significance import wilson

WHOLE_UP_TO = 60
"""Rows of a table that are shown at once; the rest is unfolded."""


class ClassRow(NamedTuple):
    """A class.

    Attributes:
      name: of it.
      images: in the test split.
      tuned, low, high: the share that is right, with its 95 % interval.
      before: the share before training; None where there was no classifier.
    """

    name: str
    images: int
    tuned: float
    low: float
    high: float
    before: float | None


class Classes(NamedTuple):
    """What a page says of single classes.

    Attributes:
      figure: SVG.
      rows: by ascending accuracy.
      folded: whether the table is long.
      missing: names of classes without test images.
    """

    figure: str
    rows: list[ClassRow]
    folded: bool
    missing: list[str]


def of_classes(found: OnTest, names: Sequence[str], called: str) -> Classes:
    """Counts the answers of a run.

    Args:
      found: its predictions on test.
      names: of the classes.
      called: what the model before training is called.
    """
    counts = np.bincount(found.labels, minlength=len(names))

    def shares(predictions: np.ndarray) -> np.ndarray:
        right = np.bincount(found.labels[predictions == found.labels], minlength=len(names))
        with np.errstate(invalid="ignore"):
            return right / counts

    tuned = shares(found.tuned.predictions)
    before = None if found.before is None else shares(found.before.predictions)
    order = [int(i) for i in np.argsort(tuned, kind="stable") if counts[i]]
    rows = [
        ClassRow(
            names[i],
            int(counts[i]),
            float(tuned[i]),
            *wilson(round(tuned[i] * counts[i]), int(counts[i])),
            None if before is None else float(before[i]),
        )
        for i in order
    ]
    missing = [name for name, count in zip(names, counts, strict=True) if not count]
    figure = by_class(names, tuned, before, called)
    return Classes(figure, rows, len(rows) > WHOLE_UP_TO, missing)
