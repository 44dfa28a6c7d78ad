"""The parts of a model that may train, and how each of them is optimised."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import optax
from ml_collections import ConfigDict

from vp_jax.training import optimizers, schedules

TUNABLE = ("prompt", "head", "backbone")


def learning_rates(config: ConfigDict) -> dict[str, float]:
    """The peak learning rate of every part that trains."""
    special = config.optimizer.learning_rates
    return {
        part: config.optimizer.learning_rate if special[part] is None else special[part]
        for part in TUNABLE
        if part in config.tune
    }


def make_schedules(config: ConfigDict, total_steps: int) -> dict[str, optax.Schedule]:
    """The schedule of `config.schedule` for every part that trains, each with its own peak."""
    return {
        part: schedules.by_name(
            config.schedule.name, peak, config.schedule.warmup_steps, total_steps
        )
        for part, peak in learning_rates(config).items()
    }


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


def _is_matrix(params: Any) -> Any:
    return jax.tree.map(lambda x: np.ndim(x) > 1, params)
