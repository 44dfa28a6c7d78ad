"""What a run has trained, for use in another run."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from vp_jax.errors import UserError
from vp_jax.training.checkpoints import Checkpoints
from vp_jax.training.workdir import CHECKPOINTS, read_config


def open_checkpoints(workdir: pathlib.Path) -> Checkpoints:
    """The checkpoints of a run, at least one; to be closed.

    Raises:
      UserError: there is none.
    """
    folder = workdir / CHECKPOINTS
    if folder.is_dir():
        checkpoints = Checkpoints(folder)
        if checkpoints.steps():
            return checkpoints
        checkpoints.close()
    raise UserError(f"{workdir} holds no checkpoint yet; train first")


def best_step(meta: Mapping[str, Any], workdir: pathlib.Path) -> int:
    """The best step that a checkpoint knew of, from its JSON object.

    Raises:
      UserError: no evaluation had been made.
    """
    best = meta["progress"]["best_step"]
    if best < 0:
        raise UserError(f"no epoch of the run in {workdir} has been evaluated yet; train on")
    return best


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
    config = read_config(workdir)
    if part not in config.tune:
        raise UserError(
            f"the run in {workdir} trained {' and '.join(config.tune) or 'nothing'}, not a {part}"
        )
    checkpoints = open_checkpoints(workdir)
    try:
        meta = checkpoints.meta(checkpoints.steps()[-1])
        arrays = checkpoints.arrays(best_step(meta, workdir))
    except UserError:
        raise
    except Exception as error:  # whatever orbax and tensorstore raise on damaged files
        raise UserError(f"the checkpoints of {workdir} cannot be read: {error}") from error
    finally:
        checkpoints.close()
    prefix = f"tuned.{part}."
    found = {n.removeprefix(prefix): x for n, x in arrays.items() if n.startswith(prefix)}
    return found, meta["identity"]
