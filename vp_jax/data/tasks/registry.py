"""The registered downstream tasks, by name, and the two ways of splitting them."""

from __future__ import annotations

import dataclasses

from vp_jax import errors
from vp_jax.data.tasks.tables import further, own, paper, wilds
from vp_jax.data.tasks.task import Coop, Task

__all__ = ["ALIASES", "SPLITS", "Coop", "Task", "get", "names", "with_splits"]

SPLITS = ("official", "coop")
"""The dataset's own splits with our validation examples held out, or those of CoOp's files."""

ALIASES = {
    "svhn_cropped": "svhn",
    "oxford_flowers102": "flowers102",
    "oxford_iiit_pet": "oxford_pets",
}
"""The names in tfds of some tasks, under which `get` knows them too."""

_CORRUPTED = "cifar10_corrupted"
_BY_NAME = {task.name: task for task in (*own.TASKS, *paper.TASKS, *wilds.TASKS, *further.TASKS)}


def names() -> tuple[str, ...]:
    """The names of all tasks; `get` also knows `ALIASES` and the corruptions of CIFAR-10."""
    return tuple(_BY_NAME)


def get(name: str) -> Task:
    """The task of that name, which may be an alias, or `cifar10_corrupted/CORRUPTION_SEVERITY`.

    Raises:
      UserError: there is none; the message has the nearest names.
    """
    base, _, corruption = name.partition("/")
    if base == _CORRUPTED and corruption:
        return _corrupted(corruption)
    name = ALIASES.get(name, name)
    if name not in _BY_NAME:
        raise errors.unknown("task", name, names())
    return _BY_NAME[name]


def with_splits(task: Task, splits: str) -> Task:
    """The task under a split convention.

    Under `"coop"` it has the format `"coop"`, CoOp's classes, with the names in the split file, its
    validation split, and accuracy as its metric, which is what numbers in these splits are.

    Args:
      task: any task.
      splits: one of `SPLITS`.

    Raises:
      UserError: the convention is unknown, or CoOp has no split file for the task.
    """
    if splits not in SPLITS:
        raise errors.unknown("split convention (config.task.splits):", splits, SPLITS)
    if splits == "official" or task.format == "coop":
        return task
    if task.coop is None:
        having = ", ".join(name for name, other in _BY_NAME.items() if other.coop)
        raise errors.UserError(
            f"the task {task.name!r} is not among those that CoOp has published splits of, which "
            f"are: {having}. Leave out --config.task.splits=coop"
        )
    return dataclasses.replace(
        task,
        format="coop",
        class_names=None,
        num_classes=task.coop.num_classes,
        metric="accuracy",
        sizes=dict(zip(("train", "val", "test"), task.coop.sizes, strict=True)),
        convention="CoOp's published split file (Zhou et al. 2022, arXiv 2109.01134)",
    )


def _corrupted(corruption: str) -> Task:
    """cifar10_corrupted with another corruption and severity."""
    valid = [
        f"{_CORRUPTED}/{c}_{severity}" for c in further.CORRUPTIONS for severity in range(1, 6)
    ]
    name = f"{_CORRUPTED}/{corruption}"
    if name not in valid:
        raise errors.unknown("task", name, valid)
    return dataclasses.replace(_BY_NAME[_CORRUPTED], name=name, tfds_name=name)
