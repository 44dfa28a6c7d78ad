"""The folders of runs below a folder."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Iterator
from typing import NamedTuple

from vp_jax.records.names import CONFIG, LOCK, OURS

_INSIDE = {*OURS, "wandb"}
"""Folders within a run that hold no runs."""
_TELLING = {*OURS, LOCK} - {"features", "checkpoints", "tensorboard"}
"""What only a run has, of the names that are not also those of other programs."""


class Place(NamedTuple):
    """A folder with something of a run, or one that cannot be looked into.

    Attributes:
      folder: its path.
      names: of what it holds.
      reason: why it cannot be read; empty where it can.
    """

    folder: pathlib.Path
    names: frozenset[str] = frozenset()
    reason: str = ""


def places(top: pathlib.Path) -> Iterator[Place]:
    """The folders at and below `top` that have a run's settings, or enough else of a run, in the
    order of their names, with numbers in theirs.

    Links to folders are followed, each folder looked into once; nothing within a run's own folders
    is. Whether settings are a run's is for whoever reads them to say.
    """
    return _places(top, set())


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """What names are sorted by so that `10` comes after `9`.

    >>> sorted(["a10", "a9", "b"], key=natural)
    ['a9', 'a10', 'b']
    """
    parts = re.split(r"([0-9]+)", text)
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p)


def _places(folder: pathlib.Path, seen: set[tuple[int, int]]) -> Iterator[Place]:
    try:
        about = folder.stat()
        if (about.st_dev, about.st_ino) in seen:
            return
        seen.add((about.st_dev, about.st_ino))
        with os.scandir(folder) as entries:
            found = {entry.name: _is_folder(entry) for entry in entries}
    except OSError as error:
        yield Place(folder, reason=f"it cannot be read: {error.strerror or error}")
        return
    names = frozenset(found)
    ours = CONFIG in names or len(names & {*OURS, LOCK}) > 1 and names & _TELLING
    if ours:
        yield Place(folder, names)
    inner = [name for name, is_folder in found.items() if is_folder and not name.startswith(".")]
    for name in sorted(inner, key=natural):
        if not (ours and (name in _INSIDE or name.startswith("damaged_"))):
            yield from _places(folder / name, seen)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
