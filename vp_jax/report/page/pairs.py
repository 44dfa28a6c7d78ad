"""Test images before and after, with what they are taken for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vp_jax.records.predictions_file import Answers, OnTest
from vp_jax.report.looks.choice import Choice
from vp_jax.report.looks.shown import Maps, Shown
from vp_jax.report.page.embed import heat, picture
from vp_jax.report.pictures.examples import made_visible


class Guess(NamedTuple):
    """What an image is taken for."""

    name: str
    confidence: float
    right: bool


class Pair(NamedTuple):
    """An image without and with the prompt.

    Attributes:
      label: the right class.
      row: which test image it is.
      before, after: images as `data:`; the same where there is no prompt.
      was, now: what they are taken for; `was` is None where there was no classifier.
    """

    label: str
    row: int
    before: str
    after: str
    was: Guess | None
    now: Guess


class Look(NamedTuple):
    """Where the model looks on an image: a pair, and maps of the same kind as `data:` each."""

    pair: Pair
    maps: list[tuple[str, str, str]]


class Pairs(NamedTuple):
    """The images of a page.

    Attributes:
      examples, gains, losses: as `Choice` has them.
      looks: maps of the examples.
      stretched: the range of values that the prompted ones stand for; empty for black to white.
    """

    examples: list[Pair]
    gains: list[Pair]
    losses: list[Pair]
    looks: list[Look]
    stretched: str


def pairs(shown: Shown, choice: Choice, found: OnTest, names: Sequence[str]) -> Pairs:
    """Makes the images of a page from what was computed of them."""
    after, stretched = made_visible(shown.before, shown.after.astype(np.float64))
    as_data = [
        (picture(one), picture(other)) for one, other in zip(shown.before, after, strict=True)
    ]

    def pair(row: int) -> Pair:
        was = None if found.before is None else _guess(found.before, row, found.labels, names)
        now = _guess(found.tuned, row, found.labels, names)
        return Pair(names[found.labels[row]], row, *as_data[shown.place(row)], was, now)

    examples, gains, losses = ([pair(int(row)) for row in rows] for rows in choice)
    kinds = (("input gradient", shown.gradients), ("attention rollout", shown.attention))
    looks = [
        Look(pair(int(row)), [(kind, *_drawn(maps, i)) for kind, maps in kinds if maps is not None])
        for i, row in enumerate(shown.looked_at)
    ]
    return Pairs(examples, gains, losses, looks, stretched.strip(" ()"))


def _guess(answers: Answers, row: int, labels: np.ndarray, names: Sequence[str]) -> Guess:
    said = int(answers.predictions[row])
    return Guess(names[said], float(answers.confidence[row]), said == labels[row])


def _drawn(maps: Maps, i: int) -> tuple[str, str]:
    return picture(heat(maps.before[i])), picture(heat(maps.after[i]))
