"""What has become of a run, from the files in its folder: nothing is written, opened for writing,
locked, compiled or loaded."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from vp_jax.host.locks import Locked
from vp_jax.records.checkpoints import meta as checkpoint_meta
from vp_jax.records.checkpoints.damage import Damaged
from vp_jax.records.listing.find import Place, places
from vp_jax.records.names import (
    CHECKPOINTS,
    CONFIG,
    LOCK,
    MADE_IN,
    MEMBERS,
    METRICS,
    REPTILE,
    RESULT,
    RESULTS,
)

FINISHED, RUNNING, STOPPED, EMPTY, FAILED, DAMAGED = STATES = (
    *("finished", "running", "stopped", "empty", "failed", "damaged"),
)
UNFINISHED = (STOPPED, EMPTY)
"""States of runs with which the same command goes on."""
_TAIL = 1 << 14  # bytes, with the last row of metrics in them


class Run(NamedTuple):
    """A run, sweep or start.

    Attributes:
      folder: its workdir.
      kind: "run", "sweep", "start" of several tasks, "member" of a sweep, or "parts" for a run that
        was made of parts in Python.
      state: one of `STATES`.
      reason: of what is not as it should be; empty for nothing.
      settings: as its folder has them; empty where they cannot be read.
      task: that it is on; empty where that is not known.
      step: made so far; None where that is not known.
      steps: in all; likewise.
      val: the task's metric where the best step was chosen, in [0, 1]; of a sweep its best
        member's.
      test: on the test split; likewise.
      seconds: of all starts together, as far as they were saved.
    """

    folder: pathlib.Path
    kind: str
    state: str
    reason: str = ""
    settings: Mapping[str, Any] = {}
    task: str = ""
    step: int | None = None
    steps: int | None = None
    val: float | None = None
    test: float | None = None
    seconds: float | None = None


def find_runs(top: pathlib.Path) -> list[Run]:
    """All runs at and below a folder, each sweep before its members.

    Members of a sweep that is not finished have nothing of their own yet, and are left out.
    """
    locked = Locked()
    sweeps: dict[pathlib.Path, Mapping[str, Any]] = {}
    found = []
    for place in places(top):
        run = _read(place, locked)
        if run is None:
            continue
        if run.kind == "sweep":
            sweeps[run.folder] = _members(place.folder)
        if run.kind == "run" and run.folder.parent in sweeps and run.folder.name.isdecimal():
            run = _as_member(run, sweeps[run.folder.parent])
            if run.state not in (FINISHED, FAILED, DAMAGED):
                continue
        found.append(run)
    return found


def _read(place: Place, locked: Locked) -> Run | None:
    """What a folder holds; None where it is no run's."""
    folder = place.folder
    if place.reason:
        return Run(folder, "run", DAMAGED, place.reason)
    if CONFIG not in place.names:
        return Run(folder, "run", DAMAGED, f"{CONFIG} is missing, so it is unclear whose it is")
    try:
        settings = _json(folder / CONFIG)
    except Damaged as error:
        is_run = len(place.names & {RESULT, METRICS, CHECKPOINTS, LOCK}) > 0
        return Run(folder, "run", DAMAGED, str(error)) if is_run else None
    if not {"tune", "task", "prompt"} <= settings.keys():
        return None
    run = Run(folder, _kind(settings), EMPTY, settings=settings, task=_task(settings))
    try:
        result = _result(folder)
    except Damaged as error:
        run, result = run._replace(reason=str(error)), None
    if result is not None:
        return _finished(run, result)
    run = _with_progress(run)
    if folder / LOCK in locked:
        return _running(run)
    return run


def _json(path: pathlib.Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
      Damaged: it is none, or cannot be read.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Damaged(f"{path.name} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path.name} is no JSON, as after a power cut") from error
    if not isinstance(found, dict):
        raise Damaged(f"{path.name} is no JSON object")
    return found


def _result(folder: pathlib.Path) -> dict[str, Any] | None:
    """What a finished run has left; None for one that is not finished."""
    if not os.path.lexists(folder / RESULT):
        return None
    found = _json(folder / RESULT)
    if not any(names <= found.keys() for names in RESULTS):
        raise Damaged(f"{RESULT} is not a run's")
    return found


def _kind(settings: Mapping[str, Any]) -> str:
    kinds = {MEMBERS: "sweep", REPTILE: "start", MADE_IN: "parts"}
    return next((kind for name, kind in kinds.items() if name in settings), "run")


def _task(settings: Mapping[str, Any]) -> str:
    task = settings["task"]
    return str(task.get("name", "")) if isinstance(task, Mapping) else ""


def _members(sweep: pathlib.Path) -> dict[str, Any]:
    """What the result of a sweep says of each member, by its folder's name."""
    try:
        members = (_result(sweep) or {}).get("members", ())
        return {str(member["folder"]): member for member in members}
    except (Damaged, TypeError, KeyError):
        return {}


def _as_member(run: Run, members: Mapping[str, Any]) -> Run:
    failed = members.get(run.folder.name, {}).get("failed_step")
    if failed is None:
        return run._replace(kind="member")
    reason = f"the loss is not finite at step {failed:,}"
    return run._replace(kind="member", state=FAILED, reason=reason, step=failed)


def _finished(run: Run, result: Mapping[str, Any]) -> Run:
    own = result
    if members := [m for m in _list(result.get("members")) if "test_metric" in m]:
        best = result.get("best_member")
        own = next((m for m in members if m.get("folder") == str(best)), members[0])
    steps = _whole(own.get("steps"))
    if run.kind == "start" and steps is not None:
        steps *= _whole(own.get("rounds")) or 1
    return run._replace(
        state=FINISHED,
        step=steps,
        steps=steps,
        val=_number(own.get("val_metric", own.get("val_accuracy"))),
        test=_number(own.get("test_metric", own.get("test_accuracy"))),
        seconds=_number(result.get("wall_seconds")),
    )


def _with_progress(run: Run) -> Run:
    """With what the newest checkpoint that can be read says; `EMPTY` where there is none."""
    folder, reasons = run.folder / CHECKPOINTS, [run.reason] if run.reason else []
    try:
        steps = checkpoint_meta.steps(folder)
    except FileNotFoundError:
        steps = []
    except OSError as error:
        reason = f"{CHECKPOINTS} cannot be read: {error.strerror or error}"
        return run._replace(state=DAMAGED, reason=reason)
    for step in reversed(steps):
        try:
            meta = checkpoint_meta.read_meta(folder / str(step))
        except (OSError, Damaged) as error:
            reasons.append(f"checkpoint {step} is damaged: {error}")
            continue
        return _at(run, step, meta)._replace(state=STOPPED, reason="; ".join(reasons))
    if steps:
        return run._replace(state=DAMAGED, reason="; ".join(reasons))
    return run._replace(reason="; ".join([*reasons, "nothing has been saved yet"]))


def _running(run: Run) -> Run:
    """With the step of the last row of metrics; of a sweep they are in its members' folders."""
    logged = _last_logged(run.folder / "0" if run.kind == "sweep" else run.folder)
    made = [step for step in (run.step, logged) if step is not None]
    reason = "" if run.state == EMPTY else run.reason
    return run._replace(state=RUNNING, reason=reason, step=max(made, default=None))


def _at(run: Run, step: int, meta: Mapping[str, Any]) -> Run:
    progress = meta["progress"]
    each = [x for x in _list(progress.get("members")) if isinstance(x, Mapping)] or [progress]
    best = [value for own in each if (value := _metric(own.get("best"))) is not None]
    return run._replace(
        step=step,
        steps=_whole(meta.get("total_steps")),
        val=max(best, default=None),
        seconds=_number(progress.get("wall_seconds")),
    )


def _metric(best: Any) -> float | None:
    """The task's own metric of an evaluation, which stands last; else the accuracy."""
    if not isinstance(best, Mapping):
        return None
    named = [value for name, value in best.items() if name not in ("loss", "accuracy")]
    return _number(named[-1] if named else best.get("accuracy"))


def _last_logged(folder: pathlib.Path) -> int | None:
    """The step of the last whole row of metrics."""
    try:
        with open(folder / METRICS, "rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _TAIL, 0))
            lines = file.read().split(b"\n")[:-1]
        return _whole(json.loads(lines[-1])["step"]) if lines else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None
