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
from vp_jax.assembly.parts.prompt import acting_prompt
from vp_jax.prompts import Stage
from vp_jax.step.updates import gradients, optimizers, schedules, stage_rates
from vp_jax.step.updates.averaging import averaged


def learning_rates(config: ConfigDict) -> dict[str, float]:
    """The peak learning rate of every part that trains."""
    special = config.optimizer.learning_rates
    return {
        part: config.optimizer.learning_rate if special[part] is None else special[part]
        for part in TUNABLE
        if part in config.tune
    }


def optimizer_name(config: ConfigDict, part: str) -> str:
    """The optimiser of a part."""
    return config.optimizer.names[part] or config.optimizer.name


def make_schedule(config: ConfigDict, peak: Any, total_steps: int) -> optax.Schedule:
    """The schedule of `config.schedule` with a peak, which may be a traced number."""
    settings = config.schedule
    return schedules.by_name(
        settings.name,
        peak,
        settings.warmup_steps,
        total_steps,
        settings.warmup_share,
        cycles=settings.cycles,
        growth=settings.growth,
        drop_at=settings.drop_at,
        drop=settings.drop,
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
    if config.schedule.name not in schedules.WARM_UP or found == wanted:
        return None
    return (
        f"the warm-up is {found:,} steps instead of {wanted:,}, since the run has only "
        f"{total_steps:,} and at most --config.schedule.warmup_share={share} of them are for it"
    )


def longer_warmup(config: ConfigDict, total_steps: int) -> str:
    """What to do for a longer warm-up, as the end of a sentence."""
    settings = config.schedule
    if settings.name not in schedules.WARM_UP:
        return "warm up with --config.schedule.name=warmup_cosine"
    if cut_warmup(config, total_steps):
        found = schedules.fitting_warmup(settings.warmup_steps, total_steps, settings.warmup_share)
        return (
            f"lengthen the warm-up of {found} steps with more --config.epochs ({config.epochs}) or "
            f"a larger --config.schedule.warmup_share ({settings.warmup_share})"
        )
    return f"lengthen --config.schedule.warmup_steps ({settings.warmup_steps})"


def make_optimizer(
    config: ConfigDict,
    part_schedules: dict[str, optax.Schedule],
    peaks: Mapping[str, Any] | None = None,
) -> optax.GradientTransformation:
    """The optimiser of `config.optimizer`, each part with its own schedule.

    Weight decay acts on prompts, and on the matrices and convolutions of heads and backbones; their
    biases and the parameters of normalisations do not decay. It is added to the gradient after what
    `config.optimizer.gradient` does with that.

    Args:
      config: all settings.
      part_schedules: by part.
      peaks: of these schedules; by default those of the settings.

    Raises:
      UserError: settings that are unknown or out of range.
    """

    def make(part: str) -> optax.GradientTransformation:
        steps = []
        if text := config.optimizer.gradient[part].strip():
            steps.append(gradients.by_text(text, f"optimizer.gradient.{part}"))
        steps.append(plain(part))
        rates = stage_rates.parse(config.optimizer.learning_rates.stages)
        if part == "prompt" and rates:
            peak = (peaks or learning_rates(config))[part]
            factors = {name: rate / peak for name, rate in rates.items()}
            steps.append(stage_rates.scale(factors, _stage_names(config)))
        return optax.chain(*steps) if len(steps) > 1 else steps[0]

    def plain(part: str) -> optax.GradientTransformation:
        name, settings = optimizer_name(config, part), config.optimizer.settings.to_dict()
        return optimizers.by_name(
            name,
            part_schedules[part],
            momentum=config.optimizer.momentum,
            weight_decay=config.optimizer.weight_decay,
            mask=None if part == "prompt" else _is_matrix,
            settings=settings if name == config.optimizer.name else {},
        )

    if not part_schedules:
        return optax.identity()
    if len(part_schedules) == 1:
        optimizer = make(*part_schedules)
    else:
        optimizer = optax.partition(
            {part: make(part) for part in part_schedules}, {part: part for part in part_schedules}
        )
    decay = config.optimizer.average
    return averaged(optimizer, decay) if decay else optimizer


def optimization(config: ConfigDict, total_steps: int) -> Optimization:
    """How the tuned parts of a run of so many steps learn."""

    def make(peaks: Mapping[str, Any]) -> optax.GradientTransformation:
        return make_optimizer(
            config,
            {part: make_schedule(config, peak, total_steps) for part, peak in peaks.items()},
            peaks,
        )

    return Optimization(make, learning_rates(config), make_schedules(config, total_steps))


def _stage_names(config: ConfigDict) -> list[str]:
    """Of the prompt, `"custom"` for what has none."""
    members = acting_prompt(config).members
    return [stage.name if isinstance(stage, Stage) else "custom" for stage in members]


def _is_matrix(params: Any) -> Any:
    return jax.tree.map(lambda x: np.ndim(x) > 1, params)
