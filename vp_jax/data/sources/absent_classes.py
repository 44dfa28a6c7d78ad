"""Classes that a split has no image of: they are kept, and named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vp_jax.data.images.decoding import Index
from vp_jax.data.tasks.examples import Source
from vp_jax.data.tasks.task import Task

OWN = ("folder", "npz")
"""Formats of the user's own data. Published datasets are as they are."""

_SHOWN = 20


def warnings(task: Task, source: Source, index: Index, class_names: Sequence[str]) -> Iterator[str]:
    """What to tell the user about classes without images, a text for each split that has some.

    Args:
      task: what the source is read for.
      source: the dataset.
      index: of all its examples, also of those that are left out because they are corrupt.
      class_names: one a label.
    """
    start = 0
    for split, examples in source.splits.items():
        rows = slice(start, start + len(examples))
        start = rows.stop
        if not len(examples):
            continue
        labels = index.labels[rows]
        had, has = np.unique(labels), np.unique(labels[index.good[rows]])
        lost = np.setdiff1d(had, has)
        if len(lost):
            yield (
                f"{split} of {task.name!r} has lost all images of {_named(lost, class_names)}: "
                f"they are corrupt and were left out{_effect(split)}"
            )
        never = np.setdiff1d(np.arange(len(class_names)), had)
        if len(never) and task.format in OWN:
            yield (
                f"{split} of {task.name!r} has no image of {_named(never, class_names)}"
                f"{_effect(split)}"
            )


def _named(labels: np.ndarray, class_names: Sequence[str]) -> str:
    shown = ", ".join(repr(class_names[label]) for label in labels[:_SHOWN])
    if len(labels) == 1:
        return f"the class {shown}"
    more = f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
    return f"{len(labels)} of {len(class_names)} classes ({shown}{more})"


def _effect(split: str) -> str:
    if split == "train":
        return "; nothing is learned about what is missing"
    return "; its scores say nothing about what is missing"
