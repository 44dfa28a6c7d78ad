"""Refuses settings that cannot work, before anything is loaded."""

from __future__ import annotations

import math

from ml_collections import ConfigDict

from vp_jax import backbones, data, heads
from vp_jax.assembly.check_head import check_head
from vp_jax.assembly.check_run import (
    SELECT_ON,
    TUNABLE,
    check_least,
    check_loop,
    check_penalties,
    check_seed,
    check_tune,
)
from vp_jax.assembly.parts.augment import make_augment, make_mixing, mixes
from vp_jax.assembly.parts.backbone import check_backbone
from vp_jax.assembly.parts.loop import loop_settings
from vp_jax.assembly.parts.optimizer import make_optimizer, make_schedules
from vp_jax.assembly.parts.prompt import check_prompt
from vp_jax.backbones import Backbone
from vp_jax.config import default
from vp_jax.errors import UserError, unknown

SOLVERS = ("auto", "sklearn", "optax", "sgd")
INITS = ("auto", "text", "random")
DTYPES = ("float32", "bfloat16")
SHARDINGS = ("replicated", "fsdp")


def check(config: ConfigDict, backbone: Backbone | None = None) -> None:
    """Refuses settings that cannot work.

    Args:
      config: all settings.
      backbone: one of the user's own, instead of `config.backbone`.

    Raises:
      UserError: names the setting, its value and what is valid.
    """
    _check_values(config, default())
    _check_texts(config)
    check_tune(config.tune, "config.tune")
    for setting, value, valid in (
        ("head", config.head.name, heads.names()),
        ("value of config.head.solver", config.head.solver, SOLVERS),
        ("value of config.head.init", config.head.init, INITS),
        ("value of config.select_on", config.select_on, SELECT_ON),
        ("value of config.backbone.source", config.backbone.source, backbones.SOURCES),
        ("value of config.backbone.dtype", config.backbone.dtype, DTYPES),
        ("value of config.backbone.remat", config.backbone.remat, backbones.REMATS),
        ("value of config.backbone.sharding", config.backbone.sharding, SHARDINGS),
        ("value of config.task.pipeline", config.task.pipeline, ("auto", *data.PIPELINES)),
    ):
        if value not in valid:
            raise unknown(setting, value, valid)
    check_backbone(config, backbone)
    task = data.tasks.with_splits(data.tasks.get(config.task.name), config.task.splits)
    if task.train is None and config.tune:
        raise UserError(
            f"the task {task.name!r} has no training images, so it can only be tested on: give "
            '--config.tune="()"'
        )
    _check_numbers(config)
    check_head(config)
    make_optimizer(config, make_schedules(config, total_steps=1))
    check_prompt(config)
    make_augment(config)
    make_mixing(config, image_size=1)
    if config.loss.teacher and (make_augment(config) is not None or mixes(config)):
        raise UserError(
            "config.loss.teacher answers once for each training image, and config.augment changes "
            "them in every epoch: turn one of the two off"
        )
    for template in config.head.templates:
        heads.class_texts((), template)


def _check_values(config: ConfigDict, usual: ConfigDict, prefix: str = "config") -> None:
    """Refuses settings without a value, which a ConfigDict lets anybody write into any of them."""
    for key, value in usual.items():
        if isinstance(value, ConfigDict):
            _check_values(config[key], value, f"{prefix}.{key}")
        elif value is not None and config[key] is None:
            raise UserError(f"{prefix}.{key} is None; give it a value, such as {value!r}")


def _check_texts(config: ConfigDict) -> None:
    for name, values in (
        ("tune", config.tune),
        ("head.templates", config.head.templates),
        ("task.class_names", config.task.class_names),
    ):
        if not all(isinstance(value, str) for value in values):
            raise UserError(
                f"config.{name} is {tuple(values)!r}; it holds texts, as in "
                f"--config.{name}=\"('one', 'two')\""
            )
    if not config.head.templates:
        raise UserError(
            "config.head.templates is empty; give one or more texts with a place for the class "
            "name, as in --config.head.templates=\"('{}', 'a photo of a {}')\""
        )


def _check_numbers(config: ConfigDict) -> None:
    check_loop(loop_settings(config), config.tune, "config.", "task.")
    check_seed(config.seed, "config.seed")
    check_least("config.backbone.shards", config.backbone.shards, 0)
    check_least("config.task.shots", config.task.shots, 0)
    check_least("config.start.scan_images", config.start.scan_images, 2)
    for name in ("val_fraction", "test_fraction"):
        if not 0 <= config.task[name] < 1:
            raise UserError(f"config.task.{name} is {config.task[name]}; it must be in [0, 1)")
    if config.tune and config.select_on == "val" and config.task.val_fraction == 0:
        raise UserError(
            "config.task.val_fraction is 0, so there is nothing to choose the best epoch by; give "
            "a positive fraction, or take the paper's way with --config.select_on=test"
        )
    if not isinstance(config.head.calibrate, bool) and config.head.calibrate != "auto":
        raise UserError(
            f"config.head.calibrate is {config.head.calibrate!r}; it is True, False or 'auto', "
            "which fits a temperature where there are validation images"
        )
    if config.head.calibrate is True and config.task.val_fraction == 0:
        raise UserError(
            "config.head.calibrate fits a temperature to val, and config.task.val_fraction is 0: "
            "give a positive fraction, or 'auto'"
        )
    rates = {"learning_rate": config.optimizer.learning_rate}
    if not 0 <= config.optimizer.average < 1:
        raise UserError(
            f"config.optimizer.average is {config.optimizer.average}; it must be in [0, 1), as in "
            "0.99 for a mean of the last 100 steps or so"
        )
    special = config.optimizer.learning_rates
    rates |= {f"learning_rates.{p}": special[p] for p in TUNABLE if special[p] is not None}
    check_penalties(dict(config.penalties), config.tune, "config.")
    for name, rate in rates.items():
        if not 0 < rate < math.inf:
            raise UserError(f"config.optimizer.{name} is {rate}; it must be positive and finite")
