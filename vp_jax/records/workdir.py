"""The folder of one run: whose it is, and what is in it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from vp_jax import distributed
from vp_jax.errors import UserError
from vp_jax.host import files, locks
from vp_jax.records.names import CONFIG, LOCK, MEMBERS, OURS, RESULT, RESULTS, SCAN, SCANS

SEEN_AFTER_SECONDS = 60
"""How long a network disk may take to show a process what another has written."""

LONGEST = 3800
"""Of the path of a workdir in bytes, so that those of its files can be named."""

# Where things lie and how often they are saved may change between two starts of one run.
MAY_CHANGE = (
    "backbone.weights",
    "backbone.remat",
    "backbone.sharding",
    "backbone.shards",
    "head.text_weights",
    "task.data_dir",
    "task.download",
    "task.pipeline",
    "task.cache_dir",
    "task.workers",
    "task.accept_changed_data",
    "checkpoint_every_steps",
    "call_seconds",
    "logger",
)


Settings = Mapping[str, Any]
"""Settings of a run by name, those of a part nested, as JSON holds them."""

Complete = Callable[[Settings, pathlib.Path], Settings]
"""From settings that were written to a file, maybe by an earlier version, to all of today's."""


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes a JSON file whole or not at all; of several processes the main one does."""
    if not distributed.is_main():
        return
    text = json.dumps(value, indent=2) + "\n"
    files.write(path, lambda file: file.write(text.encode()))


def flatten(settings: Settings, prefix: str = "") -> dict[str, Any]:
    """Settings by dotted name; tuples become lists, as they come back from JSON."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and (value or prefix == ""):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = json.loads(json.dumps(value))
    return flat


def read_settings(workdir: pathlib.Path) -> dict[str, Any]:
    """The settings of the run in a folder, as they were written.

    Raises:
      UserError: there is no run in it, or many, or its settings cannot be read.
    """
    settings = _read(workdir)
    if MEMBERS in settings:
        raise UserError(
            f"{workdir} holds {len(settings[MEMBERS])} runs that were trained at once; give the "
            f"folder of one of them, such as {workdir / '0'}"
        )
    return settings


def read_result(workdir: pathlib.Path) -> dict[str, Any] | None:
    """What a finished run has left in its folder, or None where it is not finished.

    A file that is not whole, as after a power cut, is left out with a warning: the run makes it
    again from its checkpoints.

    Raises:
      UserError: it is there and cannot be read.
    """
    return _read_or_make(workdir / RESULT, RESULTS, "test")


def read_scan(workdir: pathlib.Path) -> dict[str, Any] | None:
    """What `start.scan` has found and kept in a folder, or None where it has not.

    A file that is not whole is left out as that of `read_result` is.

    Raises:
      UserError: it is there and cannot be read.
    """
    return _read_or_make(workdir / SCAN, SCANS, "scan")


def _read_or_make(
    path: pathlib.Path, wanted: Sequence[set[str]], to_make: str
) -> dict[str, Any] | None:
    """A JSON file that can be made again, with all names of one of the sets that are wanted."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}; mend that, or delete it to {to_make} again"
        ) from error
    except ValueError:
        found = None
    if isinstance(found, dict) and any(names <= found.keys() for names in wanted):
        return found
    distributed.say(f"{path} is not whole, as after a power cut; it is made again")
    return None


def _read(workdir: pathlib.Path) -> dict[str, Any]:
    path = workdir / CONFIG
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(settings, dict):
            raise ValueError("it holds no settings")
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{workdir} holds no run of vp_jax: {CONFIG} is missing; give the --workdir of one"
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(
            f"{path} is damaged ({error}), so it is unknown with which settings the run was made; "
            "put a copy of it in its place, or give another --workdir"
        ) from error
    return settings


def _as_written(settings: Settings, path: pathlib.Path) -> Settings:
    del path
    return settings


@contextlib.contextmanager
def claim(
    workdir: pathlib.Path, settings: Settings, complete: Complete = _as_written
) -> Iterator[None]:
    """Makes the folder this run's, or makes sure that it is, for as long as the context lasts.

    Of several processes the main one does, and the others see that they have the same folder.

    Args:
      workdir: the folder.
      settings: of the run.
      complete: makes those that are in the folder comparable.

    Raises:
      UserError: the folder is of a run with other settings (all named), is being trained in by
        another process, cannot be written, or is not the same for all processes.
    """
    check_settings(workdir, settings, complete)
    if not distributed.is_main():
        distributed.wait()
        _await_config(workdir)
        check_settings(workdir, settings, complete)
        yield
        return
    with hold(workdir):
        check_settings(workdir, settings, complete)
        for partial in workdir.glob(f".*{files.PARTIAL}"):  # of starts that were killed
            partial.unlink(missing_ok=True)
        if not (workdir / CONFIG).exists():
            write_json(workdir / CONFIG, settings)
        distributed.wait()
        yield


@contextlib.contextmanager
def hold(workdir: pathlib.Path) -> Iterator[None]:
    """Makes the folder, and keeps other starts out of it for as long as the context lasts.

    Of several processes the main one does.

    Raises:
      UserError: it is held by another start, or cannot be written.
    """
    if not distributed.is_main():
        yield
        return
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = open(workdir / LOCK, "w")
    except OSError as error:
        raise UserError(
            f"the workdir {workdir} cannot be written: {error.strerror}; give another --workdir"
        ) from error
    with lock:
        if locks.lock(lock) is False:
            raise UserError(
                f"another process is training in {workdir}; wait for it, or give another --workdir"
            )
        yield


def _await_config(workdir: pathlib.Path) -> None:
    """Returns when the settings that the main process has written are seen here too."""
    deadline = time.monotonic() + SEEN_AFTER_SECONDS
    while not (workdir / CONFIG).exists():
        if time.monotonic() > deadline:
            raise UserError(
                f"process 0 has written {CONFIG} to the workdir {workdir}, and this process does "
                "not see it: give a --workdir on a disk that all processes share"
            )
        time.sleep(0.1)


def check_settings(
    workdir: pathlib.Path, settings: Settings, complete: Complete = _as_written
) -> None:
    """Refuses a folder that holds another run; the arguments are those of `claim`.

    Raises:
      UserError: names every setting that differs, with both values.
    """
    try:
        if workdir.exists() and not workdir.is_dir():
            raise UserError(f"the workdir {workdir} is a file; give another --workdir")
        if len(os.fsencode(workdir.absolute())) > LONGEST:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"the workdir {str(workdir)!r} cannot be used: {reason}; give another --workdir"
        ) from error
    if not (workdir / CONFIG).exists():
        ours = [name for name in OURS if (workdir / name).exists()]
        if ours:
            raise UserError(
                f"{workdir} holds {', '.join(ours)} but no {CONFIG}, so it is unclear whose they "
                "are; give another --workdir"
            )
        return
    there = flatten(complete(_read(workdir), workdir / CONFIG))
    here = flatten(settings)
    differing = [
        f"{name} is {there.get(name)!r} there and {here.get(name)!r} here"
        for name in sorted(there.keys() | here.keys())
        if name not in MAY_CHANGE and there.get(name) != here.get(name)
    ]
    if differing:
        raise UserError(
            f"the workdir {workdir} belongs to another run: {'; '.join(differing)}. Give another "
            "--workdir, or the settings of that run to go on with it"
        )
