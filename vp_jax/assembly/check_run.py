"""Refuses what no run can work with, whether it is made of settings or of parts."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence

from vp_jax.errors import UserError, unknown
from vp_jax.records.loggers.following import check_loggers
from vp_jax.step.penalties import NAMES as PENALTIES
from vp_jax.training.loop_settings import LoopSettings

TUNABLE = ("prompt", "head", "backbone")
"""The parts of a model that may train."""
SELECT_ON = ("val", "test")


def check_tune(tune: Sequence[str], called: str = "tune") -> None:
    """Refuses parts that do not exist, or twice the same.

    Raises:
      UserError: names it.
    """
    for part in tune:
        if part not in TUNABLE:
            raise unknown(f"part in {called}", part, TUNABLE)
    if len(set(tune)) < len(tune):
        raise UserError(f"{called} is {tuple(tune)}: it names a part twice")


def check_loop(loop: LoopSettings, tune: Sequence[str], prefix: str = "", task: str = "") -> None:
    """Refuses settings of the loop that are out of range.

    Args:
      loop: the settings.
      tune: the parts that train.
      prefix: of the settings' names, in messages.
      task: of those that belong to the task.

    Raises:
      UserError: names the setting, its value and what is valid.
    """
    for name, value, least in (
        ("batch_size", loop.batch_size, 1),
        ("epochs", loop.epochs, 1 if tune else 0),
        ("eval_every_epochs", loop.eval_every_epochs, 1),
        ("log_every_steps", loop.log_every_steps, 1),
        ("checkpoint_every_steps", loop.checkpoint_every_steps, 0),
        ("patience", loop.patience, 0),
        (f"{task}workers", loop.workers, 0),
    ):
        check_least(f"{prefix}{name}", value, least)
    if loop.select_on not in SELECT_ON:
        raise unknown(f"value of {prefix}select_on", loop.select_on, SELECT_ON)
    for name, number, is_right, wanted in (
        ("label_smoothing", loop.label_smoothing, 0 <= loop.label_smoothing < 1, "in [0, 1)"),
        ("teacher_share", loop.teacher_share, 0 < loop.teacher_share <= 1, "in (0, 1]"),
        ("teacher_temperature", loop.teacher_temperature, loop.teacher_temperature > 0, "above 0"),
    ):
        if not is_right:
            called = f"{prefix}{'loss.' if prefix else ''}{name}"
            raise UserError(f"{called} is {number}; it must be {wanted}")
    if not loop.call_seconds > 0:
        raise UserError(f"{prefix}call_seconds is {loop.call_seconds}; it must be positive")
    check_loggers(loop.logger, f"{prefix}logger")


def check_seed(seed: int, called: str = "seed") -> None:
    """Refuses what is no seed.

    Raises:
      UserError: says what is valid.
    """
    check_least(called, seed, 0)
    if seed >= 2**32:
        raise UserError(f"{called} is {seed}; it must be below 2**32")


def check_least(called: str, value: object, least: int) -> None:
    """Refuses what is no whole number, or a smaller one.

    Raises:
      UserError: says what is valid.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise UserError(f"{called} is {value!r}; it must be a whole number")
    if value < least:
        raise UserError(f"{called} is {value}; it must be at least {least}")


def check_penalties(weights: Mapping[str, float], tune: Sequence[str], prefix: str = "") -> None:
    """Refuses penalties that do not exist, or that nothing is there for.

    Raises:
      UserError: names it, its weight and what is valid.
    """
    for name, weight in weights.items():
        if name not in PENALTIES:
            raise unknown(f"name in {prefix}penalties", name, PENALTIES)
        if isinstance(weight, bool) or not isinstance(weight, numbers.Real) or not weight >= 0:
            raise UserError(f"{prefix}penalties.{name} is {weight!r}; it must be at least 0")
        if weight == math.inf:
            raise UserError(f"{prefix}penalties.{name} is {weight}; it must be finite")
        if weight and "prompt" not in tune:
            raise UserError(
                f"{prefix}penalties.{name} is {weight}, of what a prompt changes, and none trains: "
                f"add 'prompt' to {prefix}tune, or leave it 0"
            )
