"""What to type to go on with a run, from the settings that its folder has."""

from __future__ import annotations

import json
import pathlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from vp_jax.assembly.several.vary import as_vary, members_of
from vp_jax.records.names import CONFIG, MADE_IN, MEMBERS, REPTILE, SCAN

OWN_BACKBONE = "custom"
"""What `backbones.from_fn` calls a model that is given no name."""
_BY_ITSELF = "the command or the call that began it"


def go_on(folder: pathlib.Path, settings: Mapping[str, Any]) -> str:
    """The command that goes on with a run, a sweep or a start, for a POSIX shell; where no command
    can, what to do instead.

    Args:
      folder: its workdir, as the command is to name it.
      settings: as they were written there.
    """
    if MADE_IN in settings:
        return f"in Python: runs.train(experiment, {str(folder)!r}), of the same parts"
    backbone = settings.get("backbone")
    if isinstance(backbone, Mapping) and backbone.get("name") == OWN_BACKBONE:
        call = "many.train_many" if MEMBERS in settings else "runs.train"
        return f"in Python: {call}(..., {str(folder)!r}, backbone=...), as it was begun"
    if MEMBERS in settings:
        vary = _vary(settings[MEMBERS])
        return _BY_ITSELF if vary is None else _command("train_many", folder, [f"--vary={vary}"])
    if REPTILE in settings:
        rounds = _rounds(settings[REPTILE])
        return _BY_ITSELF if rounds is None else _command("train_start", folder, rounds)
    return _command("train", folder, before_the_scan(folder, settings))


def quoted(text: str) -> str:
    """A word as a shell takes it for this text; letters that no terminal shows are written as
    codes.

    >>> print(quoted("--workdir=runs/a b"), quoted("--workdir=a"), quoted("a'\\n"))
    --workdir='runs/a b' --workdir=a $'a\\'\\x0a'
    """
    if text.isprintable():
        name, equals, value = text.partition("=")
        if text.startswith("--") and equals and shlex.quote(name) == name:
            return f"{name}={shlex.quote(value)}"
        return shlex.quote(text)
    kept = "".join(chr(b) if _is_plain(b) else f"\\x{b:02x}" for b in text.encode(*_AS_FILES_ARE))
    return "$'" + kept.replace("'", "\\'") + "'"


_AS_FILES_ARE = ("utf-8", "surrogateescape")


def _is_plain(byte: int) -> bool:
    return 0x20 <= byte < 0x7F and byte != ord("\\")


def _command(name: str, folder: pathlib.Path, more: Sequence[str]) -> str:
    words = [f"--config={folder / CONFIG}", *more, f"--workdir={folder}"]
    return " ".join([f"python -m vp_jax.{name}", *map(quoted, words)])


def _vary(labels: Any) -> str | None:
    try:
        return as_vary(members_of(labels))
    except (TypeError, ValueError):
        return None


def _rounds(reptile: Any) -> list[str] | None:
    """The flags of a start; None where the settings of its first task, which are all that its
    folder has, would be taken for those of the others."""
    try:
        tasks = [json.loads(text) for text in reptile["tasks"]]
        alone = [isinstance(task, str) or "task.name" in task for task in tasks]
        if not all(alone) or (isinstance(tasks[0], dict) and set(tasks[0]) != {"task.name"}):
            return None
        numbers = [f"--{name}={reptile[name]}" for name in ("rounds", "steps", "share")]
        return [f"--tasks={json.dumps(tasks, ensure_ascii=False)}", *numbers]
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def before_the_scan(folder: pathlib.Path, settings: Mapping[str, Any]) -> list[str]:
    """The prompt that was given, where that in the settings is what a scan has made of it."""
    start = settings.get("start")
    if not (isinstance(start, Mapping) and start.get("scan")):
        return []
    try:
        prompt = json.loads((folder / SCAN).read_text(encoding="utf-8"))["prompt"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [f"--config.prompt={prompt}"]
