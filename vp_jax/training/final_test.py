"""The test splits, looked at for the first and only time, when training is over."""

from __future__ import annotations

from typing import NamedTuple

from vp_jax.step.forward import Parts
from vp_jax.training.evaluation import Evaluation
from vp_jax.training.experiment import Experiment
from vp_jax.training.start import Outcome


class FinalTest(NamedTuple):
    """What a run reaches on its test splits.

    Attributes:
      zero_shot: the model before training; None where it had nothing but random numbers.
      tuned: with what was tuned, at the best step; the model before training if nothing was.
      extra: likewise on the further test splits, by their names.
    """

    zero_shot: Evaluation | None
    tuned: Evaluation
    extra: dict[str, Evaluation]


def final_test(experiment: Experiment, outcome: Outcome) -> FinalTest:
    """Evaluates a run on its test splits, with the logits on test where it is to be calibrated."""
    task, before, zero_shot = experiment.task, outcome.zero_shot, None
    parts, trains = tuned_parts(experiment, outcome), bool(experiment.tuned)
    if before.exists:
        logits = experiment.calibrates and not trains
        zero_shot = outcome.evaluate(before.parts(), task.test, logits=logits)
    if zero_shot is not None and not trains:
        tuned = zero_shot
    else:
        tuned = outcome.evaluate(parts, task.test, logits=experiment.calibrates)
    extra = {name: outcome.evaluate(parts, split) for name, split in task.extra.items()}
    return FinalTest(zero_shot, tuned, extra)


def tuned_parts(experiment: Experiment, outcome: Outcome) -> Parts:
    """All parameters at the best step, or those before training where nothing was tuned."""
    if not experiment.tuned and outcome.zero_shot.exists:
        return outcome.zero_shot.parts()
    return {**outcome.frozen, **outcome.best}
