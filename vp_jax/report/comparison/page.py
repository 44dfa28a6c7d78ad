"""The page that compares runs."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from vp_jax.assembly.reproduction import what_differs
from vp_jax.report.comparison.duel import Duel, Side, duel
from vp_jax.report.comparison.entry import Entry
from vp_jax.report.page import story, svg
from vp_jax.report.page.embed import picture
from vp_jax.report.page.figures.together import colour, together
from vp_jax.report.page.render import render

TEMPLATE = "compare.html.j2"
EVERY_PAIR_UP_TO = 5
"""Runs of which every pair is compared; of more of them each with the best."""
IMAGES = 5
"""Images of a kind."""

Images = Callable[[Entry, np.ndarray], np.ndarray | None]
"""From a run and rows of its test split to uint8 images, `[n, h, w, 3]`; None where they are not
among those that can be read."""


class Line(NamedTuple):
    """A run in the table.

    Attributes:
      entry: the run.
      colour: a variable of the style sheet.
      verdict: its accuracy with its interval.
      before: that of the model before training; None where that was no classifier.
    """

    entry: Entry
    colour: str
    verdict: story.Row
    before: story.Row | None


class Seen(NamedTuple):
    """An image that one run has right and the other wrong: `data:`, its class, what it is taken
    for, and which it is."""

    image: str
    label: str
    said: str
    row: int


class Pair(NamedTuple):
    """Two runs, with images of what each alone has right; empty where there are none to show."""

    duel: Duel
    only_one: list[Seen]
    only_other: list[Seen]


def comparison(entries: Sequence[Entry], title: str, images: Images | None, note: str = "") -> str:
    """The HTML text of the page.

    Args:
      entries: the runs.
      title: of the page.
      images: reads test images; None for none.
      note: what is not on the page, a sentence.
    """
    lines = [_line(i, entry) for i, entry in enumerate(entries)]
    duels = [duel(one, other) for one, other in _pairs(entries)]
    split = entries[0].result.get("selected_on", "val")
    drawn = [entry.rows if _is_by_steps(entry) else [] for entry in entries]
    curves = None
    if any(drawn):
        curves = Markup(together(drawn, [entry.name for entry in entries], split))
    return render(
        TEMPLATE,
        title=title,
        lines=lines,
        same_task=len({entry.result["task"] for entry in entries}) == 1,
        pairs=[_pair(one, images) for one in duels],
        every_pair=len(entries) <= EVERY_PAIR_UP_TO,
        curves=curves,
        differing=what_differs([entry.workdir for entry in entries]),
        note=note,
        date=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    )


def _is_by_steps(entry: Entry) -> bool:
    """Whether a run trained by steps; the rows of a linear probe are of what it tried."""
    return any("train/loss" in row for row in entry.rows)


def _line(number: int, entry: Entry) -> Line:
    rows = story.verdict(entry.result)
    tuned, *others = rows
    before = next((row for row in others if row.kind == "before"), None)
    return Line(entry, svg.VARIABLES[colour(number)], tuned, before)


def _pairs(entries: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    if len(entries) <= EVERY_PAIR_UP_TO:
        return list(itertools.combinations(entries, 2))
    best = max(entries, key=lambda entry: entry.result["test_accuracy"])
    return [(best, entry) for entry in entries if entry is not best]


def _pair(found: Duel, images: Images | None) -> Pair:
    if found.test is None or images is None:
        return Pair(found, [], [])
    sides = (found.only_one, found.only_other)
    return Pair(found, *(_seen(side, found.one, images) for side in sides))


def _seen(side: Side | None, one: Entry, images: Images) -> list[Seen]:
    if side is None or not len(side.rows):
        return []
    assert one.tested is not None
    rows, names = side.rows[:IMAGES], one.result["class_names"]
    shown = images(one, rows)
    return [
        Seen(picture(image), names[one.tested.labels[row]], names[said], int(row))
        for image, row, said in zip(() if shown is None else shown, rows, side.said, strict=False)
    ]
