"""The names of a task's classes: from the user, the task or the dataset, in this order."""

from __future__ import annotations

import os
import pathlib
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from vp_jax.data.sources import classes_file
from vp_jax.data.tasks import Task
from vp_jax.data.tasks.examples import Source
from vp_jax.errors import UserError
from vp_jax.host import files

SETTING = "--config.task.class_names"


Override = Sequence[str] | str | os.PathLike[str] | None


class Origin(NamedTuple):
    """Who has named the classes.

    Attributes:
      where: the names are from, as in "5 classes in FILE".
      by_user: whether the user can rename them: they are from a setting or the user's own data.
    """

    where: str
    by_user: bool


def origin(task: Task, source: Source, override: Override = None) -> Origin:
    """Who has named the classes that `resolve` returns."""
    if override:
        is_file = isinstance(override, str | os.PathLike)
        return Origin(f"in {override}" if is_file else "given by the setting class_names", True)
    if task.class_names is not None:
        return Origin(f"of the task {task.name!r}", False)
    own = task.format == "folder" or (task.format == "npz" and task.file is None)
    return Origin(f"in {source.path}", own)


def resolve(task: Task, source: Source, override: Override = None) -> tuple[str, ...]:
    """One name a label, in the order of the labels.

    Args:
      task: its own `class_names` are the second choice.
      source: the dataset's own are the third.
      override: names, or the path of a text file, which is read as a `classes.txt` is.

    Raises:
      UserError: nothing has names, the file cannot be read, a name is empty, there are more or
        fewer names than classes, or the user has given two classes one name.
    """
    where, by_user = origin(task, source, override)
    if override:
        if isinstance(override, str | os.PathLike):
            names = _read_file(files.expanded(override), source)
        else:
            names = tuple(override)
    elif task.class_names is not None:
        names = task.class_names
    elif source.class_names is not None:
        names = source.class_names
    else:
        raise UserError(
            f"class names missing: the dataset {task.name!r} in {source.path} has none. Set "
            f"{SETTING}=FILE (one name a line, in the order of the labels)"
        )
    if source.num_classes is not None and len(names) != source.num_classes:
        raise UserError(
            f"the dataset {task.name!r} in {source.path} has {source.num_classes} classes, "
            f"but there are {len(names)} class names {where}"
        )
    for label, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise UserError(f"the name of class {label} is empty among the class names {where}")
    if by_user:
        _check_distinct(names, where)
    return tuple(names)


def _check_distinct(names: Sequence[str], where: str) -> None:
    labels: dict[str, int] = {}
    for label, name in enumerate(names):
        plain = " ".join(unicodedata.normalize("NFC", name).split())
        first = labels.setdefault(plain, label)
        if first != label:
            raise UserError(
                f"the labels {first} and {label} have one name among the class names {where}, "
                f"{name!r}: rename one of them, or join their images if they are one class"
            )


def _read_file(path: pathlib.Path, source: Source) -> tuple[str, ...]:
    """The names in a text file, which is read as a `classes.txt` is."""
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as e:
        raise UserError(
            f"the file of class names {path} cannot be read: {e}. {SETTING} is the path of a text "
            "file with one name a line, or a tuple of names"
        ) from e
    keys = source.class_names if source.class_keys is None else source.class_keys
    lines = [line.strip() for line in content.decode("utf-8-sig", "replace").rstrip().splitlines()]
    if keys is None:  # Then they are numbers.
        keys = tuple(map(str, range(source.num_classes or len(lines))))
    if len(lines) != len(keys) or not all(lines):
        return tuple(lines)  # It is refused with those of other origins.
    return classes_file.parse(content, keys, str(path))
