"""How each of the parts that train is optimised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import optax
from ml_collections import ConfigDict

from vp_jax.assembly.check_run import TUNABLE
from vp_jax.assembly.compose import Optimization
from vp_jax.step import optimizers, schedules


def learning_rates(config: ConfigDict) -> dict[str, float]:
    """The peak learning rate of every part that trains."""
    special = config.optimizer.learning_rates
    return {
        part: config.optimizer.learning_rate if special[part] is None else special[part]
        for part in TUNABLE
        if part in config.tune
    }


def make_schedule(config: ConfigDict, peak: Any, total_steps: int) -> optax.Schedule:
    """The schedule of `config.schedule` with a peak, which may be a traced number."""
    settings = config.schedule
    return schedules.by_name(
        settings.name, peak, settings.warmup_steps, total_steps, settings.warmup_share
    )


def make_schedules(config: ConfigDict, total_steps: int) -> dict[str, optax.Schedule]:
    """The schedule of `config.schedule` for every part that trains, each with its own peak."""
    return {
        part: make_schedule(config, peak, total_steps)
        for part, peak in learning_rates(config).items()
    }


def cut_warmup(config: ConfigDict, total_steps: int) -> str | None:
    """What to say of a warm-up that is too long for a run of so many steps; else None."""
    wanted, share = config.schedule.warmup_steps, config.schedule.warmup_share
    found = schedules.fitting_warmup(wanted, total_steps, share)
    if config.schedule.name != "warmup_cosine" or found == wanted:
        return None
    return (
        f"the warm-up is {found:,} steps instead of {wanted:,}, since the run has only "
        f"{total_steps:,} and at most --config.schedule.warmup_share={share} of them are for it"
    )


def longer_warmup(config: ConfigDict, total_steps: int) -> str:
    """What to do for a longer warm-up, as the end of a sentence."""
    settings = config.schedule
    if settings.name != "warmup_cosine":
        return "warm up with --config.schedule.name=warmup_cosine"
    if cut_warmup(config, total_steps):
        found = schedules.fitting_warmup(settings.warmup_steps, total_steps, settings.warmup_share)
        return (
            f"lengthen the warm-up of {found} steps with more --config.epochs ({config.epochs}) or "
            f"a larger --config.schedule.warmup_share ({settings.warmup_share})"
        )
    return f"lengthen --config.schedule.warmup_steps ({settings.warmup_steps})"


def make_optimizer(
    config: ConfigDict, part_schedules: dict[str, optax.Schedule]
) -> optax.GradientTransformation:
    """The optimiser of `config.optimizer`, each part with its own schedule.

    Weight decay acts on prompts, and on the matrices and convolutions of heads and backbones; their
    biases and the parameters of normalisations do not decay.
    """

    def make(part: str) -> optax.GradientTransformation:
        return optimizers.by_name(
            config.optimizer.name,
            part_schedules[part],
            momentum=config.optimizer.momentum,
            weight_decay=config.optimizer.weight_decay,
            mask=None if part == "prompt" else _is_matrix,
            settings=config.optimizer.settings.to_dict(),
        )

    if not part_schedules:
        return optax.identity()
    if len(part_schedules) == 1:
        return make(*part_schedules)
    return optax.partition(
        {part: make(part) for part in part_schedules}, {part: part for part in part_schedules}
    )


def optimization(config: ConfigDict, total_steps: int) -> Optimization:
    """How the tuned parts of a run of so many steps learn."""

    def make(peaks: Mapping[str, Any]) -> optax.GradientTransformation:
        return make_optimizer(
            config, {part: make_schedule(config, peak, total_steps) for part, peak in peaks.items()}
        )

    return Optimization(make, learning_rates(config), make_schedules(config, total_steps))


def _is_matrix(params: Any) -> Any:
    return jax.tree.map(lambda x: np.ndim(x) > 1, params)
