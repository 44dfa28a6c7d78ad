"""Predictions as lines: a table, CSV or JSON, as they come."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from typing import NamedTuple, TextIO

import numpy as np


class Answer(NamedTuple):
    """What is said of an image.

    Attributes:
      image: its name.
      labels: the most likely classes, best first; empty where it could not be read.
      probabilities: of these.
      abstains: whether the best one is too unlikely to be an answer.
      expected: the class that it should be, where that is known; None where it is not.
      error: why it could not be read.
    """

    image: str
    labels: tuple[int, ...] = ()
    probabilities: tuple[float, ...] = ()
    abstains: bool = False
    expected: int | None = None
    error: str = ""


UNREAD = "unreadable"

Write = Callable[[Answer], None]


def best(row: np.ndarray, count: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The most likely of the classes, best first, and their probabilities.

    Args:
      row: probabilities of all, `[K]`.
      count: how many; all where there are fewer.
    """
    order = np.argsort(-row, kind="stable")[:count]
    return tuple(int(i) for i in order), tuple(float(row[i]) for i in order)


def writer(kind: str, names: Sequence[str], top: int, scored: bool, out: TextIO) -> Write:
    """Begins an output, and returns what writes one line of it.

    Args:
      kind: "table", "csv" or "jsonl".
      names: of the classes.
      top: how many classes an answer has.
      scored: whether the class that it should be is shown too.
      out: where lines go.
    """
    top = min(top, len(names))
    return {"table": _table, "csv": _csv, "jsonl": _jsonl}[kind](names, top, scored, out)


def _table(names: Sequence[str], top: int, scored: bool, out: TextIO) -> Write:
    width = max(len(UNREAD), *map(len, names))

    def write(answer: Answer) -> None:
        cells = []
        for place in range(top):
            known = place < len(answer.labels)
            name = names[answer.labels[place]] if known else ""
            if not known or (answer.abstains and place == 0):
                name = f"({name})" if name else UNREAD if answer.error and place == 0 else "-"
            percent = f"{100 * answer.probabilities[place]:5.1f} %" if known else "      -"
            cells.append(f"{percent}  {name:<{width + 2}}")
        if scored:
            right = answer.labels[:1] == (answer.expected,) and not answer.abstains
            is_known = answer.expected is not None and not answer.error
            cells.append(f"{('right' if right else 'wrong') if is_known else '':7}")
        print("".join(cells) + answer.image, file=out, flush=True)

    return write


def _csv(names: Sequence[str], top: int, scored: bool, out: TextIO) -> Write:
    rows = csv.writer(out, lineterminator="\n")
    numbered = [f"_{place + 1}" if place else "" for place in range(top)]
    header = [text + number for number in numbered for text in ("class", "probability")]
    rows.writerow(["image", *header, *(["expected"] if scored else []), "error"])

    def write(answer: Answer) -> None:
        cells: list[str] = []
        for place in range(top):
            if place < len(answer.labels):
                silent = answer.abstains and place == 0
                name = "" if silent else names[answer.labels[place]]
                cells += [name, f"{answer.probabilities[place]:.6f}"]
            else:
                cells += ["", ""]
        if scored:
            cells.append("" if answer.expected is None else names[answer.expected])
        rows.writerow([answer.image, *cells, answer.error])
        out.flush()

    return write


def _jsonl(names: Sequence[str], top: int, scored: bool, out: TextIO) -> Write:
    del top

    def write(answer: Answer) -> None:
        line: dict[str, object] = {"image": answer.image}
        if answer.error:
            line["error"] = answer.error
        else:
            found = zip(answer.labels, answer.probabilities, strict=True)
            line["class"] = None if answer.abstains else names[answer.labels[0]]
            line["predictions"] = [
                {"class": names[label], "label": label, "probability": value}
                for label, value in found
            ]
        if scored:
            line["expected"] = None if answer.expected is None else names[answer.expected]
        print(json.dumps(line, ensure_ascii=False), file=out, flush=True)

    return write
