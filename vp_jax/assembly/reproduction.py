"""How a run is made again: which of its settings differ from the defaults, and a command."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vp_jax import config_files
from vp_jax.assembly.go_on import before_the_scan, go_on, quoted
from vp_jax.assembly.settings import differing, plain, settled
from vp_jax.config import default, from_json
from vp_jax.errors import UserError
from vp_jax.records import workdir as workdir_lib
from vp_jax.records.names import CONFIG, MADE_IN
from vp_jax.records.workdir import flatten


class Change(NamedTuple):
    """A setting that is not the default.

    Attributes:
      name: with dots.
      value, default: as JSON has them; the default is None where there is none.
    """

    name: str
    value: Any
    default: Any


class Reproduction(NamedTuple):
    """How a run is made again.

    Attributes:
      changes: its settings that differ from the defaults.
      command: that trains it again, for a POSIX shell, or what to call in Python.
    """

    changes: tuple[Change, ...]
    command: str


def reproduction(workdir: pathlib.Path) -> Reproduction:
    """Reads the settings of the run in a folder.

    The command begins with that config of the package that needs the fewest changes.

    Raises:
      UserError: there is no run in it, or many, or its settings cannot be read.
    """
    kept = workdir_lib.read_settings(workdir)
    if MADE_IN in kept:
        about = {n: x for n, x in flatten(kept).items() if n != MADE_IN}
        changes = tuple(Change(name, x, None) for name, x in about.items())
        return Reproduction(changes, go_on(workdir, kept))
    settings = flatten(plain(from_json(kept, workdir / CONFIG)))
    usual = flatten(plain(settled(default(), None)))
    changes = tuple(
        Change(name, settings[name], usual.get(name)) for name in differing(settings, usual)
    )
    known = go_on(workdir, kept)
    if not known.startswith("python -m"):
        return Reproduction(changes, known)
    return Reproduction(changes, _command(settings, workdir, before_the_scan(workdir, kept)))


def what_differs(workdirs: Sequence[pathlib.Path]) -> list[tuple[str, list[Any]]]:
    """The settings in which runs differ, each with the value of every run, None where it has none.

    Where things lie and how often they are saved does not count.

    Raises:
      UserError: there is no run in one of them, or its settings cannot be read.
    """
    each = []
    for workdir in workdirs:
        kept = workdir_lib.read_settings(workdir)
        is_made = MADE_IN in kept
        each.append(flatten(kept if is_made else plain(from_json(kept, workdir / CONFIG))))
    names = dict.fromkeys(name for settings in each for name in settings)
    found = [(name, [settings.get(name) for settings in each]) for name in names]
    return [
        (name, values)
        for name, values in found
        if name not in workdir_lib.MAY_CHANGE and any(x != values[0] for x in values)
    ]


def _command(settings: Mapping[str, Any], workdir: pathlib.Path, more: Sequence[str]) -> str:
    """The command line of a run with these settings, by dotted name, and more of them."""
    known = {}
    for name in config_files.names():
        try:
            own = flatten(plain(settled(config_files.load(name), None)))
        except UserError:  # It asks for what is not there, such as a file of the user's.
            continue
        if own.keys() <= settings.keys():  # What a config sets can be changed, not taken back.
            known[name] = differing(settings, own)
    nearest = min(known, key=lambda name: len(known[name]))
    flags = [f"--config={nearest}", f"--workdir={workdir}"]
    flags += [f"--config.{name}={_typed(settings[name])}" for name in known[nearest]]
    return " ".join(["python -m vp_jax.train", *map(quoted, [*flags, *more])])


def _typed(value: Any) -> str:
    """A value as a flag takes it."""
    return repr(tuple(value)) if isinstance(value, list) else str(value)
