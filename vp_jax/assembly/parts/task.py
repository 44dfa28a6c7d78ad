"""The task of a run: its images and classes."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from ml_collections import ConfigDict

from vp_jax import data, distributed
from vp_jax.assembly.parts.prompt import acting_prompt
from vp_jax.backbones import Backbone
from vp_jax.data.images import cache
from vp_jax.data.tasks.classes import Classes
from vp_jax.data.tasks.contents import checksum
from vp_jax.errors import UserError
from vp_jax.records import record as record_lib
from vp_jax.step.device_memory import resident_limit
from vp_jax.step.forward import resize_rule, seen_rule


def load_task(
    config: ConfigDict, backbone: Backbone, classes: Classes | None = None
) -> data.TaskData:
    """The data of `config.task`, resized for the backbone where they are not small.

    Args:
      config: all settings.
      backbone: whose images they become.
      classes: those that a run has trained on, in its order.

    Raises:
      UserError: they are missing, damaged, have other classes, or leave nothing to validate on.
    """
    task = data.load_task(
        config.task.name,
        resize=seen_rule(backbone, acting_prompt(config)),
        whole=resize_rule(backbone),
        val_fraction=config.task.val_fraction,
        test_fraction=config.task.test_fraction,
        seed=config.seed,
        data_dir=config.task.data_dir,
        class_names=class_names_setting(config.task.class_names),
        skip_corrupt=config.task.skip_corrupt,
        download=config.task.download and distributed.count() == 1,  # not several into one folder
        splits=config.task.splits,
        shots=config.task.shots,
        pipeline=config.task.pipeline,
        resident_limit=resident_limit(),
        cache_dir=config.task.cache_dir or cache.folder_for(config.task.pipeline),
        classes=classes,
    )
    if config.tune and config.select_on == "val" and not len(task.val):
        raise UserError(
            f"no validation example: {config.task.val_fraction} of the {len(task.train)} training "
            f"examples of {config.task.name} is none; raise --config.task.val_fraction"
        )
    return task


def class_names_setting(value: Any) -> Any:
    """`config.task.class_names`: none, names, or, as a single text, the path of a file."""
    value = tuple(value)
    if len(value) == 1 and pathlib.Path(value[0]).suffix == ".txt":
        return value[0]
    return value or None


def check_same_everywhere(task: data.TaskData) -> None:
    """Refuses processes that do not read the same data.

    Raises:
      UserError: they do not.
    """
    known = json.dumps(record_lib.describe(record_lib.task_classes(task), task.contents))
    number = checksum(known.encode()) >> 1
    if distributed.least(number, -number) != (number, -number):
        raise UserError(
            f"the processes read different data of {task.task.name}: give all the same "
            "--config.task.data_dir, on a disk that they share or with the same files"
        )
