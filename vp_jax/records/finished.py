"""What a run has trained, for use in another run or a classifier."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from vp_jax import distributed
from vp_jax.errors import UserError
from vp_jax.host.interrupts import INTERRUPTS
from vp_jax.records.checkpoints import files as checkpoint_files
from vp_jax.records.checkpoints.saved import SavedCheckpoints, set_aside
from vp_jax.records.names import CHECKPOINTS, RESULT
from vp_jax.records.workdir import read_result, read_settings


def open_checkpoints(workdir: pathlib.Path) -> SavedCheckpoints:
    """The checkpoints of a run, at least one, to be read.

    Raises:
      UserError: there is none.
    """
    folder = workdir / CHECKPOINTS
    checkpoints = SavedCheckpoints(folder)
    if folder.is_dir() and checkpoints.steps():
        return checkpoints
    damaged = set_aside(workdir)
    if damaged:
        raise UserError(
            f"{workdir} holds no whole checkpoint: {', '.join(damaged)} were damaged and are kept "
            "beside the folder of checkpoints (ls -lR shows their files); train again"
        )
    raise UserError(f"{workdir} holds no checkpoint yet; train first")


def going_on(workdir: pathlib.Path) -> str:
    """From where the same command goes on with a run that was stopped, in words."""
    with contextlib.suppress(OSError):
        if steps := checkpoint_files.steps(workdir / CHECKPOINTS):
            return f"the same command goes on from the last checkpoint, of step {steps[-1]}"
    return "nothing has been saved yet: the same command begins anew"


def begun(workdir: pathlib.Path, what: str) -> dict[str, Any] | None:
    """The result of what is finished in a folder, which it says; None where there is work to do.

    A signal from now on says from where the same command goes on.

    Args:
      workdir: of a run, a sweep or a start.
      what: which of them it is, in a word.
    """
    INTERRUPTS.begin(lambda: going_on(workdir))
    found = read_result(workdir)
    if found is not None:
        distributed.say(f"this {what} is finished: {workdir / RESULT}")
    return found


def best_step(meta: Mapping[str, Any], workdir: pathlib.Path) -> int:
    """The best step that a checkpoint knew of, from its JSON object.

    Raises:
      UserError: no evaluation had been made.
    """
    best = meta["progress"]["best_step"]
    if best < 0:
        raise UserError(f"no epoch of the run in {workdir} has been evaluated yet; train on")
    return best


class Best(NamedTuple):
    """The best checkpoint of a run.

    Attributes:
      step: its step.
      meta: the JSON object of the newest checkpoint, which knows what is best.
      arrays: of the state at the best step, by dotted name.
    """

    step: int
    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]


def load_best(workdir: pathlib.Path) -> Best:
    """The best checkpoint of a run that the newest one knows of.

    Raises:
      UserError: there is none, nothing has been evaluated yet, or checkpoints are damaged.
    """
    checkpoints = open_checkpoints(workdir)
    found = checkpoints.newest(
        lambda step: Best(step, checkpoints.meta(step), checkpoints.arrays(step))
    )
    assert found is not None  # There is at least one.
    best = best_step(found.meta, workdir)
    if best == found.step:
        return found
    return found._replace(step=best, arrays=checkpoints.read_one(best, checkpoints.arrays))


def load_part(workdir: pathlib.Path, part: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """One tuned part of a run's best checkpoint.

    Args:
      workdir: of a training.
      part: `"head"` or `"prompt"`.

    Returns:
      Its arrays by name, and the run's identity: backbone, task, prompt, head, tune.

    Raises:
      UserError: there is no run, it has not trained that part, or its checkpoints are damaged.
    """
    tune = read_settings(workdir).get("tune", ())
    if part not in tune:
        raise UserError(
            f"the run in {workdir} trained {' and '.join(tune) or 'nothing'}, not a {part}"
        )
    best = load_best(workdir)
    prefix = f"tuned.{part}."
    found = {n.removeprefix(prefix): x for n, x in best.arrays.items() if n.startswith(prefix)}
    return found, best.meta["identity"]
