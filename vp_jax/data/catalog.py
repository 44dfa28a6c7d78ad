"""The registered tasks as tables and texts: what `python -m vp_jax.data` shows."""

from __future__ import annotations

import pathlib

from vp_jax.data import tasks
from vp_jax.data.sources import coop as coop_source
from vp_jax.data.sources import download
from vp_jax.data.sources import tfds as tfds_source
from vp_jax.data.tasks.examples import Source
from vp_jax.data.tasks.task import Task
from vp_jax.errors import UserError

HEADERS = ("task", "classes", "train", "val", "test", "metric", "source", "download")


def row(task: Task) -> tuple[str, ...]:
    """A task's line in the table of tasks, a text for each of `HEADERS`; - is nothing or unknown.

    `train` counts the whole pool; where `val` is "held out", it is taken from there.
    """
    own_val = task.val is not None or task.format == "coop"
    val = _count(task.sizes.get("val")) if own_val else "held out" if task.train else "-"
    return (
        task.name,
        _count(task.num_classes),
        _count(task.sizes.get("train")),
        val,
        _count(task.sizes.get("test")),
        task.metric,
        source(task),
        bytes_text(task.download_size),
    )


def source(task: Task) -> str:
    """Where a task's dataset is from, in a few words."""
    if task.format != "tfds":
        return {"npz": "an .npz file", "folder": "your folder", "coop": "CoOp's files"}[task.format]
    names = " and ".join(reversed(task.tfds_names))
    if not download.is_ours(task.own_tfds_name):
        names = f"tfds {names}"
    return names + (", by hand" if task.manual else "")


def bytes_text(count: int | None) -> str:
    """A number of bytes with three or more digits and a decimal unit, such as 168.5 MB."""
    if count is None:
        return "-"
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count} B"


def facts(
    task: Task, root: pathlib.Path, manual_dir: pathlib.Path | None = None
) -> list[tuple[str, str]]:
    """Everything that is known of a task, a name and a text for each fact.

    Args:
      task: a registered task.
      root: the folder of all prepared datasets.
      manual_dir: where files lie that a person has fetched; None for the usual folder.
    """
    metric = task.metric
    if task.metric == "worst_group_accuracy":
        metric += f", the groups by {task.group_key!r}"
    known = [
        (
            "task",
            task.name + "".join(f", also {a}" for a, n in tasks.ALIASES.items() if n == task.name),
        ),
        ("what", task.notes),
        ("source", source(task)),
        ("homepage", task.homepage),
        ("licence", task.licence),
        ("download", bytes_text(task.download_size)),
        ("by hand", download.manual(task, root, manual_dir)),
        ("metric", metric),
        ("classes", _count(task.num_classes)),
        ("splits", _splits(task)),
        ("convention", task.convention or "the dataset's own splits"),
        ("coop", _coop(task)),
        ("looked for", _state(task, root)),
        ("coop files", _coop_state(task, root)),
        ("names", ", ".join(task.class_names or ()) or "those in the dataset"),
    ]
    return [(name, text) for name, text in known if text]


def split_rows(task: Task, opened: Source) -> list[tuple[str, str, str, str]]:
    """A line for each split of a dataset that was opened: name, what it is of, size, declared."""
    of = {"train": task.train, "val": task.val, "test": task.test}
    return [
        (name, of.get(name) or name, _count(len(examples)), _count(task.sizes.get(name)))
        for name, examples in opened.splits.items()
        if name != "train" or task.train is not None
    ]


def _splits(task: Task) -> str:
    if task.train is None:
        held_out = "train and val: none"
    elif task.val is None:
        held_out = f"train {_of(task, 'train', task.train)}, val held out of it"
    else:
        held_out = f"train {_of(task, 'train', task.train)}, val {_of(task, 'val', task.val)}"
    further = "".join(f", {name} {_of(task, name, name)}" for name in task.extra)
    return f"{held_out}, test {_of(task, 'test', task.test)}{further}"


def _of(task: Task, name: str, split: str) -> str:
    size = _count(task.sizes.get(name))
    return size if task.format != "tfds" or split == name else f"{size} ({split})"


def _coop(task: Task) -> str:
    if task.coop is None:
        return ""
    train, val, test = map(_count, task.coop.sizes)
    return (
        f"with config.task.splits=coop: train {train}, val {val}, test {test}, "
        f"{task.coop.num_classes} classes, scored by accuracy; {task.coop.file} and the images in "
        f"{task.coop.folder}/{task.coop.images}".rstrip("/")
    )


def _state(task: Task, root: pathlib.Path) -> str:
    if task.format == "npz" and task.file is not None:
        file = root / task.file
        return f"{file}, which is {'there' if file.is_file() else 'not there'}"
    if task.format in ("folder", "npz"):
        return "where the setting task.data_dir of a training says"
    states = []
    for name in task.tfds_names:
        folder = tfds_source.find_prepared(name, root)
        path = root / name.partition(":")[0]
        states.append(f"{path}, not prepared" if folder is None else f"{folder}, prepared")
    return "; ".join(states)


def _coop_state(task: Task, root: pathlib.Path) -> str:
    if task.coop is None:
        return ""
    try:
        return f"{coop_source.find(task, root)}, there"
    except UserError:
        return f"{root / task.coop.folder / task.coop.file}, not there"


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"
