"""Datasets in the folders and split files of CoOp (Zhou et al. 2022, arXiv 2109.01134)."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import pathlib
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vp_jax.data.tasks.examples import Example, Examples, Source
from vp_jax.data.tasks.task import Coop, Task
from vp_jax.errors import UserError, brief

SPLITS = ("train", "val", "test")

_HOW = "https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md says where to get it"


class Entry(NamedTuple):
    """An image of the split file: its path below the folder of images, its label and its class."""

    path: str
    label: int
    name: str


def read(task: Task, root: pathlib.Path) -> Source:
    """Opens a task in CoOp's splits; its images are read when asked for.

    The split file is JSON, `{"train": [[path, label, class name], ...], "val": ..., "test": ...}`,
    beside the folder of images, as CoOp lays its datasets out. Every image that it names must be
    there; images that it does not name are ignored. The class names are those of the file, in the
    order of the labels, and the labels are known without reading an image.

    Args:
      task: its `coop` says what is where.
      root: the folder of all of CoOp's datasets, or that of the task.

    Raises:
      UserError: the split file or an image is missing; the file is no such JSON; a path leads out
        of the folder; an image is named twice; or labels and class names do not go together.
    """
    folder, coop = find(task, root), _coop(task)
    file = folder / coop.file
    splits = _load(file)
    names = _class_names(splits, file)
    _check_overlap(splits, file)
    images = folder / coop.images
    states = _states(splits, images, file)
    sizes = {path: size for path, size, _ in states}

    def examples(split: str) -> Examples:
        paths = tuple(entry.path for entry in splits[split])
        labels = np.array([entry.label for entry in splits[split]], np.int64)
        names, size = np.array(paths, object), np.array([sizes[path] for path in paths], np.int64)
        get = functools.partial(_example, str(images), paths, labels)
        return Examples(split, len(paths), get, labels, names=names, sizes=size)

    return Source(
        file,
        len(names),
        names,
        examples("train"),
        examples("test"),
        val=examples("val"),
        fingerprint=_fingerprint(file, states),
    )


def find(task: Task, root: pathlib.Path) -> pathlib.Path:
    """The folder that holds the task's split file: `root`, or the one of CoOp's name in it.

    Raises:
      UserError: it is in neither.
    """
    coop = _coop(task)
    for folder in (root / coop.folder, root):
        if (folder / coop.file).is_file():
            return folder
    raise UserError(
        f"the task {task.name!r} in CoOp's splits needs the split file {coop.file}, which is not "
        f"at {root / coop.folder / coop.file}; {_HOW}. Put it there, beside the images in "
        f"{posixpath.join(coop.folder, coop.images, '')}, or name the folder with "
        "--config.task.data_dir=DIR"
    )


def _coop(task: Task) -> Coop:
    if task.coop is None:
        raise UserError(f"the task {task.name!r} is not among those that CoOp has splits of")
    return task.coop


def _load(file: pathlib.Path) -> dict[str, list[Entry]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as e:
        raise UserError(f"the split file {file} cannot be read: {brief(e)}; {_HOW}") from e
    if not isinstance(content, dict) or not set(SPLITS) <= set(content):
        raise UserError(f"the split file {file} must have the splits train, val and test; {_HOW}")
    splits = {}
    for split in SPLITS:
        if not isinstance(content[split], list) or not content[split]:
            raise UserError(f"the split {split!r} in {file} is no list of images; {_HOW}")
        splits[split] = [_entry(item, split, i, file) for i, item in enumerate(content[split])]
    return splits


def _entry(item: Any, split: str, index: int, file: pathlib.Path) -> Entry:
    where = f"entry {index} of the split {split!r} in {file}"
    fits = (
        isinstance(item, list)
        and [type(part) for part in item] == [str, int, str]
        and item[1] >= 0
        and item[2].strip()
    )
    if not fits:
        shown = repr(item)[:80]
        raise UserError(f"{where} is {shown}; it must be [path, label from 0 on, class name]")
    path = posixpath.normpath(item[0])
    if (
        not item[0]
        or path == "."
        or posixpath.isabs(path)
        or ".." in item[0].split("/")
        or any(character in item[0] for character in "\\\0:")
    ):
        raise UserError(
            f"{where} has the path {item[0]!r}; it must be that of a file below the folder of "
            "images, written with /"
        )
    return Entry(path, item[1], item[2])


def _class_names(splits: Mapping[str, Sequence[Entry]], file: pathlib.Path) -> tuple[str, ...]:
    """One name a label; labels and names go together one to one, and no label is left out."""
    names: dict[int, str] = {}
    labels: dict[str, int] = {}
    for entry in (entry for split in SPLITS for entry in splits[split]):
        name = names.setdefault(entry.label, entry.name)
        label = labels.setdefault(entry.name, entry.label)
        if name != entry.name:
            raise UserError(
                f"the label {entry.label} in {file} stands for two classes, {name!r} and "
                f"{entry.name!r}; {_HOW}"
            )
        if label != entry.label:
            raise UserError(
                f"the class {entry.name!r} in {file} has two labels, {label} and {entry.label}; "
                f"{_HOW}"
            )
    absent = [label for label in range(len(names)) if label not in names]
    if absent:
        raise UserError(
            f"{file} has {len(names)} classes, but none of the label {absent[0]}; {_HOW}"
        )
    return tuple(names[label] for label in range(len(names)))


def _check_overlap(splits: Mapping[str, Sequence[Entry]], file: pathlib.Path) -> None:
    seen: dict[str, str] = {}
    for split in SPLITS:
        for entry in splits[split]:
            if entry.path in seen:
                both = (
                    f"twice in {split}"
                    if seen[entry.path] == split
                    else (f"in {seen[entry.path]} and in {split}")
                )
                raise UserError(f"the image {entry.path} is {both} in {file}; {_HOW}")
            seen[entry.path] = split


def _states(
    splits: Mapping[str, Sequence[Entry]], images: pathlib.Path, file: pathlib.Path
) -> list[tuple[str, int, int]]:
    """Path, size and time of change of every image that is named, in order.

    Raises:
      UserError: some are missing; the message counts them and names the first.
    """
    paths = sorted(entry.path for split in SPLITS for entry in splits[split])
    found: dict[str, dict[str, os.DirEntry[str]]] = {}
    states, missing = [], []
    for path in paths:
        folder, name = posixpath.split(path)
        if folder not in found:
            found[folder] = _files(images / folder)
        if name not in found[folder]:
            missing.append(path)
            continue
        state = found[folder][name].stat()
        states.append((path, state.st_size, state.st_mtime_ns))
    if missing:
        raise UserError(
            f"{len(missing)} of the {len(paths)} images that {file} names are not in {images}; the "
            f"first is {missing[0]}. Unpack the dataset's images there: {_HOW}"
        )
    return states


def _files(folder: pathlib.Path) -> dict[str, os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry for entry in entries if entry.is_file()}
    except OSError:
        return {}


def _fingerprint(file: pathlib.Path, states: Sequence[tuple[str, int, int]]) -> str:
    digest = hashlib.sha256(file.read_bytes())
    for state in states:
        digest.update(repr(state).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]


def _example(images: str, paths: Sequence[str], labels: np.ndarray, index: int) -> Example:
    path = paths[index]
    try:
        content = pathlib.Path(images, path).read_bytes()
    except OSError as e:
        raise UserError(f"the image {path} in {images} cannot be read: {brief(e)}") from e
    return Example(content, int(labels[index]), path)
