"""The tasks that a start is learned on: runs of one prompt that differ in their data and head."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from vp_jax import heads
from vp_jax.assembly.parts.head import FITTED, base_name
from vp_jax.assembly.parts.prompt import make_prompt, with_canonical_prompt
from vp_jax.errors import UserError, brief, unknown
from vp_jax.records.names import REPTILE

OWN = ("task.", "head.", "optimizer.", "batch_size")
"""How the names of settings begin that a task may have of its own."""
EXAMPLE = """as in --tasks='["eurosat", {"task.name": "folder", "task.data_dir": "fruits"}]'"""

TaskSettings = str | Mapping[str, Any]
"""The name of a task, or settings by their dotted names."""


def parse_tasks(text: str) -> list[TaskSettings]:
    """Tasks as people type them: names with commas between them, or a JSON list of names and of
    objects with settings.

    Raises:
      UserError: it is of neither form.

    >>> parse_tasks("digits, eurosat")
    ['digits', 'eurosat']
    """
    if not text.lstrip().startswith(("[", "{")):
        return [name.strip() for name in text.split(",") if name.strip()]
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"--tasks is no JSON ({brief(error)}); write it {EXAMPLE}") from error
    if not isinstance(found, list) or not all(isinstance(x, (str, dict)) for x in found):
        raise UserError(f"--tasks must be a JSON list of names and of settings, {EXAMPLE}")
    return found


def task_configs(config: ConfigDict, tasks: Sequence[TaskSettings]) -> list[ConfigDict]:
    """All settings of the run on every task.

    Raises:
      UserError: there is no task, or one that a start cannot be learned on.
    """
    if not tasks:
        raise UserError(f"there is no task to learn a start on: give one or more, {EXAMPLE}")
    configs = [_with_task(config, task) for task in tasks]
    for own in configs:
        _check(own)
    return configs


def start_config(
    config: ConfigDict, tasks: Sequence[TaskSettings], rounds: Mapping[str, Any]
) -> ConfigDict:
    """The settings by which the folder of a start is known: those of the run on its first task,
    with all tasks and `rounds`, how it is learned."""
    own = config.copy_and_resolve_references()
    with own.unlocked():
        texts = tuple(json.dumps(task, sort_keys=True) for task in tasks)
        own[REPTILE] = {"tasks": texts, **rounds}
    return own


def _with_task(config: ConfigDict, task: TaskSettings) -> ConfigDict:
    own = {"task.name": task} if isinstance(task, str) else dict(task)
    for name in own:
        if not name.startswith(OWN):
            raise UserError(
                f"a task has {name} of its own, and a start is learned with one prompt and one "
                "backbone for all: only task.*, head.*, optimizer.* and batch_size may differ"
            )
        if name not in (valid := _names(config)) and not name.startswith("optimizer.settings."):
            raise unknown("setting of a task:", name, valid)
    changed = config.copy_and_resolve_references()
    try:
        changed.update_from_flattened_dict(own)
    except (TypeError, ValueError) as error:
        raise UserError(f"the task {json.dumps(task)} cannot be used: {brief(error)}") from error
    return with_canonical_prompt(changed)


def _names(config: ConfigDict, prefix: str = "") -> list[str]:
    """The dotted names of all settings."""
    names: list[str] = []
    for key in config:
        value = config[key]
        inner = isinstance(value, ConfigDict)
        names += _names(value, f"{prefix}{key}.") if inner else [f"{prefix}{key}"]
    return names


def _check(config: ConfigDict) -> None:
    """Refuses what has no meaning where only a prompt is learned, in rounds of a few steps."""
    if tuple(config.tune) != ("prompt",):
        raise UserError(
            f"a start is learned for a prompt alone, and config.tune is {tuple(config.tune)}: give "
            "--config.tune=prompt"
        )
    if config.schedule.name != "constant":
        raise UserError(
            "in every round the optimiser begins anew, and config.schedule.name is "
            f"{config.schedule.name!r}, which is for a whole run: give "
            "--config.schedule.name=constant"
        )
    if config.start.scan or config.loss.teacher:
        name = "start.scan" if config.start.scan else "loss.teacher"
        raise UserError(f"config.{name} is for a run on one task: leave it out of a start")
    if make_prompt(config).routings:
        raise UserError(
            f"the prompt {make_prompt(config)} has centroids of the images of one task: learn a "
            "start of the prompt within it, with which each of its own can begin"
        )
    name = base_name(config)
    if name in FITTED and heads.by_name(name).refit == "epoch":
        raise UserError(
            f"the head {name!r} is fitted anew in every epoch, and a start is learned in rounds of "
            "a few steps: give --config.head.name=frequency"
        )
