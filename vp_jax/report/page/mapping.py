"""What the classes of a task stand for in the model: source classes, or texts."""

from __future__ import annotations

import csv
import pathlib
from typing import NamedTuple

from vp_jax.records.names import MAPPING

SOURCES = 5
"""Source classes of a class that are named."""


class Source(NamedTuple):
    """A source class of the model, with its weight and that relative to the largest of its row."""

    name: str
    weight: float
    strength: float


class Target(NamedTuple):
    """A class of the task with the source classes that count most for it, and how many there are
    beside these in the table."""

    name: str
    sources: list[Source]
    more: int


def read_mapping(workdir: pathlib.Path) -> list[Target]:
    """The rows of `mapping.csv` by class, in its order; empty where a run has none."""
    path = workdir / MAPPING
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    by_target: dict[str, list[tuple[str, float]]] = {}
    for source, target, weight in rows:
        by_target.setdefault(target, []).append((source, float(weight)))
    targets = []
    for target, found in by_target.items():
        largest = max(abs(weight) for _, weight in found) or 1.0
        sources = [Source(name, w, max(w, 0.0) / largest) for name, w in found[:SOURCES]]
        targets.append(Target(target, sources, len(found) - len(sources)))
    return targets
