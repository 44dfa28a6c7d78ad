"""Runs as lines: a table for people, CSV or JSON for programs."""

from __future__ import annotations

import collections
import csv
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple, TextIO

from vp_jax.records.listing.find import natural
from vp_jax.records.listing.state import STATES, Run
from vp_jax.report.table import table

FORMATS = ("table", "csv", "jsonl")
SORTS = ("name", "state", "step", "val", "test", "time")
_BEST_FIRST = ("step", "val", "test")
_LEAST_NAME = 12  # letters of a name that are shown on the narrowest terminal
_HEADERS = ("run", "task", "state", "step", "val", "test", "time")


class Listed(NamedTuple):
    """A run with what to type to go on with it.

    Attributes:
      name: its folder, below the one that was listed.
      run: what is known of it.
      go_on: a command; empty for what is done, or not to be gone on with.
    """

    name: str
    run: Run
    go_on: str = ""


def name_of(folder: pathlib.Path, top: pathlib.Path) -> str:
    """What a run is called below a folder; the folder itself by its own name."""
    relative = os.path.relpath(folder, top)
    return relative if relative != "." else str(folder)


def in_order(runs: Sequence[Listed], by: str) -> list[Listed]:
    """Sorted by one of `SORTS`: accuracies and steps from the highest, times from the shortest;
    what has none last, and equal ones by their names."""

    def key(one: Listed) -> tuple[Any, ...]:
        run, name = one.run, natural(one.name)
        if by == "name":
            return (name,)
        if by == "state":
            return (STATES.index(run.state), name)
        value = run.seconds if by == "time" else getattr(run, by)
        sign = -1 if by in _BEST_FIRST else 1
        return (value is None, sign * (value or 0), name)

    return sorted(runs, key=key)


def write(runs: Sequence[Listed], kind: str, out: TextIO, width: int | None = None) -> None:
    """Writes all runs.

    Args:
      runs: in their order.
      kind: one of `FORMATS`.
      out: where lines go.
      width: columns of the terminal, for which names in a table are cut; None for no limit.
    """
    if kind == "table":
        print(as_table(runs, width), file=out)
    elif kind == "csv":
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(_record(Listed("", Run(pathlib.Path(), "", ""))))
        rows.writerows(_record(one).values() for one in runs)
    else:
        for one in runs:
            print(json.dumps(_record(one)), file=out)


def _record(one: Listed) -> dict[str, Any]:
    run = one.run
    own = ("kind", "task", "state", "reason", "step", "steps", "val", "test", "seconds")
    return {"run": one.name, **{name: getattr(run, name) for name in own}, "go_on": one.go_on}


def as_table(runs: Sequence[Listed], width: int | None = None) -> str:
    """A table of runs, what is wrong with some of them, and the commands that go on with others."""
    rows = [_row(one) for one in runs]
    text = table(rows, _HEADERS)
    if width is not None and runs:
        widest = max(map(len, text.splitlines()))
        room = max(max(len(row[0]) for row in rows) - max(widest - width, 0), _LEAST_NAME)
        text = table([(_cut(row[0], room), *row[1:]) for row in rows], _HEADERS)
    wrong = [f"  {visible(x.name)}: {visible(x.run.reason)}" for x in runs if x.run.reason]
    commands = [f"  {x.go_on}" for x in runs if x.go_on]
    return "\n".join(
        [
            text,
            summary(runs),
            *(["reasons:", *wrong] if wrong else []),
            *(["to go on:", *commands] if commands else []),
        ]
    )


def summary(runs: Sequence[Listed]) -> str:
    """How many there are, and in which states."""
    count = collections.Counter(one.run.state for one in runs)
    states = [f"{count[state]:,} {state}" for state in STATES if count[state]]
    return f"{len(runs):,} run{'s' if len(runs) != 1 else ''}: {', '.join(states)}"


def _row(one: Listed) -> tuple[str, ...]:
    run = one.run
    kind = {"sweep": " (sweep)", "start": " (start)"}.get(run.kind, "")
    return (
        visible(one.name) + kind,
        visible(run.task),
        run.state,
        _steps(run),
        _percent(run.val),
        _percent(run.test),
        _time(run.seconds),
    )


def _steps(run: Run) -> str:
    if run.step is None:
        return "-"
    if run.steps in (None, run.step):
        return f"{run.step:,}"
    return f"{run.step:,} of {run.steps:,}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _time(seconds: float | None) -> str:
    """A duration as people read it.

    >>> _time(80.2), _time(5400.0), _time(3e5)
    ('80 s', '1 h 30 min', '3 d 11 h')
    """
    if seconds is None:
        return "-"
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 2880:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def visible(text: str) -> str:
    """A text with codes for letters that a terminal would obey instead of showing them."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _cut(name: str, length: int) -> str:
    """A name without its middle, where it is too long."""
    if len(name) <= length:
        return name
    end = (length - 1) * 2 // 3
    return f"{name[: length - 1 - end]}…{name[-end:]}"
