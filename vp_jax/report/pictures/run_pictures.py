"""The pictures of a finished run: its prompt, its curves, and examples with and without it."""

from __future__ import annotations

import pathlib

from vp_jax import distributed, prompts
from vp_jax.classifier import Classifier
from vp_jax.records.metrics import read_metrics
from vp_jax.report.looks.choice import spread
from vp_jax.report.pictures.curves import curves
from vp_jax.report.pictures.examples import examples
from vp_jax.report.pictures.prompt_picture import prompt_picture
from vp_jax.report.wording import before_training
from vp_jax.restored import of_experiment
from vp_jax.training.experiment import Experiment
from vp_jax.training.final_test import FinalTest
from vp_jax.training.start import Outcome

PROMPT, CURVES, EXAMPLES = "prompt.png", "curves.png", "examples.png"
SHOWN = 8
"""Examples, of as many classes."""


def draw_run(
    experiment: Experiment, outcome: Outcome, test: FinalTest, workdir: pathlib.Path
) -> None:
    """Writes `prompt.png` and `examples.png` of a prompt, `curves.png` of training by steps.

    All processes evaluate, the main one draws.
    """
    tune, task = experiment.tune, experiment.task
    chosen = spread(task.test.labels, SHOWN)
    shown = task.test.take(chosen)
    if test.zero_shot is not None:
        predicted = test.zero_shot.predictions[chosen]
    elif "prompt" in tune:  # the head that was trained with it, on images without it
        parts = {**outcome.frozen, **outcome.best}
        unprompted = outcome.evaluate({k: v for k, v in parts.items() if k != "prompt"}, shown)
        predicted = unprompted.predictions
    if not distributed.is_main():
        return
    if experiment.total_steps:
        curves(
            workdir / CURVES,
            read_metrics(workdir),
            outcome.progress.zero_shot,
            before=before_training(experiment.head.name, tune),
        )
    if "prompt" not in tune:
        return
    classifier = of_experiment(experiment, {**outcome.frozen, **outcome.best})
    draw_prompt(classifier, workdir)
    before, after = classifier.examples(shown)
    named = [
        [task.class_names[i] for i in labels]
        for labels in (shown.labels, predicted, test.tuned.predictions[chosen])
    ]
    examples(workdir / EXAMPLES, before, after, *named)


def draw_prompt(classifier: Classifier, workdir: pathlib.Path) -> None:
    """Writes the picture of a prompt, as PNG."""
    count = prompts.count(classifier.parts["prompt"])
    title = f"{classifier.prompt}, {count:,} parameters"
    prompt_picture(workdir / PROMPT, classifier.picture(), title)
