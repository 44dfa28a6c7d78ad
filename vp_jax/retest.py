"""A run that has ended, or has a checkpoint, on its test split once more."""

from __future__ import annotations

import pathlib
from typing import Any, NamedTuple

import jax

from vp_jax.classifier import Classifier
from vp_jax.restored import of_experiment, restore
from vp_jax.step.forward import OF_PROMPT, Forward, Parts
from vp_jax.step.fsdp import put_frozen
from vp_jax.training.evaluation import Evaluate, Evaluation, make_evaluate
from vp_jax.training.experiment import Experiment
from vp_jax.training.fitting.frozen_features import with_features
from vp_jax.training.start import feed_of
from vp_jax.training.zero_shot import ZeroShot


class Retest(NamedTuple):
    """A run, ready to be tested.

    Attributes:
      experiment: of it, with what its prompt needs of the test images.
      classifier: the run at its best step; the model before training where nothing trains.
      step: the best one.
      start: parameters of the model before training; None where it had nothing but random numbers.
      evaluate: of a split with any parts, its probabilities being those of the classifier.
      evaluate_start: likewise, with the probabilities of the model before training.
    """

    experiment: Experiment
    classifier: Classifier
    step: int
    start: Parts | None
    evaluate: Evaluate
    evaluate_start: Evaluate

    def before(self) -> Evaluation | None:
        """The model before training on the test split."""
        if self.start is None:
            return None
        return self.evaluate_start(self.start, self.experiment.task.test)

    def tuned(self) -> Evaluation:
        """The classifier on the test split."""
        return self.evaluate(self.classifier.parts, self.experiment.task.test)


def retest(experiment: Experiment, workdir: pathlib.Path, batch_size: int | None = None) -> Retest:
    """The best checkpoint of a run, and the model before training, ready to be tested.

    Args:
      experiment: the run.
      workdir: its folder.
      batch_size: images at a time, if not as in training; all devices share them evenly.

    Raises:
      UserError: there is no checkpoint, or it does not belong to the experiment.
    """
    (experiment,) = with_features([experiment], only=["test"])
    mesh = experiment.mesh
    feed, frozen = feed_of(experiment, mesh, batch_size), put_frozen(experiment.frozen, mesh)
    before = ZeroShot(experiment, frozen, feed, mesh)
    if experiment.tune:
        classifier, step = restore(experiment, workdir, frozen)
    else:
        classifier, step = of_experiment(experiment, before.parts()), 0
    start = before.parts() if before.exists else None
    prompt = {part: x for part, x in classifier.parts.items() if part in OF_PROMPT}

    def evaluate(temperature: float) -> Evaluate:
        forward = tempered(classifier.logits(experiment.task.resized), temperature)
        return make_evaluate(forward, classifier.key, experiment.task, feed, mesh, prompt)

    plain = evaluate(1.0)
    own = plain if classifier.temperature == 1 else evaluate(classifier.temperature)
    return Retest(experiment, classifier, step, start, own, plain)


def tempered(forward: Forward, temperature: float) -> Forward:
    """The same logits, divided by a temperature."""
    if temperature == 1:
        return forward

    def divided(parts: Parts, images: jax.Array, **more: Any) -> jax.Array:
        return forward(parts, images, **more) / temperature

    return divided
