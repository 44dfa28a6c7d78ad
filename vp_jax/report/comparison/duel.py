"""Two runs on the same test images."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from vp_jax.data.tasks import contents as contents_lib
from vp_jax.report.comparison.entry import Entry
from vp_jax.report.significance import McNemar, mcnemar

CLASSES = 5
"""Classes that are named of what one run alone has right."""


class Side(NamedTuple):
    """What one run has right and the other wrong.

    Attributes:
      rows: the images, in the order of the first run's test split; those first of which the other
        run is surest.
      classes: with most of these images, and how many.
      said: what the other run takes them for, int `[n]`.
    """

    rows: np.ndarray
    classes: list[tuple[str, int]]
    said: np.ndarray


class Duel(NamedTuple):
    """Two runs.

    Attributes:
      one, other: the runs.
      test: McNemar's; None where they cannot be compared image by image.
      reason: why not, a sentence; empty where they can.
      only_one, only_other: what one of them alone has right; None likewise.
    """

    one: Entry
    other: Entry
    test: McNemar | None = None
    reason: str = ""
    only_one: Side | None = None
    only_other: Side | None = None


def duel(one: Entry, other: Entry) -> Duel:
    """Compares two runs, image by image where they were tested on the same."""
    reason = _reason(one, other)
    if reason:
        return Duel(one, other, reason=reason)
    assert one.contents and other.contents and one.tested and other.tested
    places = contents_lib.aligned(one.contents, other.contents)
    if places is None:
        return Duel(one, other, reason="they were tested on other images, or with other labels")
    right, their_right = one.right, other.right[places]
    own, theirs = one.tested.tuned, other.tested.tuned
    return Duel(
        one,
        other,
        mcnemar(right, their_right),
        "",
        _side(one, right & ~their_right, theirs.predictions[places], theirs.confidence[places]),
        _side(one, their_right & ~right, own.predictions, own.confidence),
    )


def _reason(one: Entry, other: Entry) -> str:
    for entry in (one, other):
        if entry.tested is None:
            return (
                f"{entry.name} has not kept what it answered; python -m vp_jax.report "
                f"--workdir={entry.workdir} finds it again and keeps it"
            )
        if entry.contents is None or len(entry.contents.labels) != len(entry.tested.labels):
            return f"{entry.name} has not kept what its test images are"
    assert one.contents and other.contents
    if not contents_lib.are_told_apart(one.contents, other.contents):
        return "nothing says whether their test images are the same: neither has read them whole"
    return ""


def _side(one: Entry, chosen: np.ndarray, said: np.ndarray, sure: np.ndarray) -> Side:
    assert one.tested is not None
    rows = np.flatnonzero(chosen)
    rows = rows[np.argsort(-sure[rows], kind="stable")]
    names = one.result["class_names"]
    counted = Counter(one.tested.labels[rows].tolist()).most_common(CLASSES)
    return Side(rows, [(names[label], count) for label, count in counted], said[rows])
