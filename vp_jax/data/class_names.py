"""The names of a task's classes: from the user, the task or the dataset, in this order."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from vp_jax.data.examples import Source
from vp_jax.data.tasks import Task
from vp_jax.errors import UserError

SETTING = "--config.task.class_names"


def resolve(
    task: Task, source: Source, override: Sequence[str] | str | os.PathLike[str] | None = None
) -> tuple[str, ...]:
    """One name a label, in the order of the labels.

    Args:
      task: its own `class_names` are the second choice.
      source: the dataset's own are the third.
      override: names, or the path of a text file with one name a line.

    Raises:
      UserError: nothing has names, the file cannot be read, a name is empty, or there are more or
        fewer names than classes.
    """
    if override:
        if isinstance(override, str | os.PathLike):
            names, origin = _read_lines(pathlib.Path(override).expanduser()), f"in {override}"
        else:
            names, origin = tuple(override), f"given by {SETTING}"
    elif task.class_names is not None:
        names, origin = task.class_names, f"of the task {task.name!r}"
    elif source.class_names is not None:
        names, origin = source.class_names, f"in {source.path}"
    else:
        raise UserError(
            f"class names missing: the dataset {task.name!r} in {source.path} has none. Set "
            f"{SETTING}=FILE (one name a line, in the order of the labels)"
        )
    if source.num_classes is not None and len(names) != source.num_classes:
        raise UserError(
            f"the dataset {task.name!r} in {source.path} has {source.num_classes} classes, "
            f"but there are {len(names)} class names {origin}"
        )
    for label, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise UserError(f"the name of class {label} is empty among the class names {origin}")
    return tuple(names)


def _read_lines(path: pathlib.Path) -> tuple[str, ...]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(
            f"the file of class names {path} cannot be read: {e}. {SETTING} is the path of a text "
            "file with one name a line, or a tuple of names"
        ) from e
    return tuple(line.strip() for line in text.rstrip().splitlines())
