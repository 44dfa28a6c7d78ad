"""What `result.json` says of a finished run."""

from __future__ import annotations

from typing import Any

from vp_jax import data, prompts
from vp_jax.data.tasks import scores
from vp_jax.host.versions import versions
from vp_jax.records.checkpoints.state_arrays import size
from vp_jax.records.record import task_classes
from vp_jax.training.experiment import Experiment
from vp_jax.training.final_test import FinalTest
from vp_jax.training.fitting.calibration import Calibration
from vp_jax.training.progress import Progress
from vp_jax.training.start import Outcome

Result = dict[str, Any]
"""As JSON holds it."""


def make_result(
    experiment: Experiment,
    outcome: Outcome,
    test: FinalTest,
    calibration: Calibration | None = None,
) -> Result:
    """What `result.json` holds; accuracies in [0, 1], times in seconds.

    `zero_shot_test_accuracy` is None where the head began with nothing but random numbers.
    `class_keys` are what the data call the classes. `data_changes` says how the data differed from
    those of the first start, where that was accepted. `versions` are those of Python and of the
    packages that compute. `checkpoint_bytes` counts the arrays of a checkpoint.
    `images_per_second` is of steady training, without compilation, evaluations and checkpoints, or
    of computing a linear probe's features; `wall_seconds` is of everything, over all starts of the
    run.
    """
    progress, task, tune = outcome.progress, experiment.task, experiment.tune
    keys = task_classes(task).keys
    metric = task.task.metric
    val_accuracy, val_metric = progress.best.get("accuracy"), progress.best.get(metric)
    if not tune:
        val_metric = progress.zero_shot
        val_accuracy = val_metric if metric == "accuracy" else None
    if experiment.loop.select_on != "val" or not len(task.val):
        val_accuracy = val_metric = None
    zero_shot, tuned = test.zero_shot, test.tuned
    return {
        "task": task.task.name,
        "backbone": experiment.backbone.name,
        "backbone_fingerprint": experiment.backbone.fingerprint,
        "prompt": str(experiment.prompt) if "prompt" in tune else None,
        "head": experiment.head.name,
        "tune": list(tune),
        "seed": experiment.seed,
        "classes": len(task.class_names),
        "class_names": list(task.class_names),
        "class_keys": keys and list(keys),
        "train_examples": len(task.train),
        "val_examples": len(task.val),
        "test_examples": len(task.test),
        "skipped_examples": task.skipped,
        "data_changes": progress.data_changes,
        "steps": int(outcome.last.step),
        "best_step": progress.best_step,
        "selected_on": experiment.loop.select_on,
        "trainable_parameters": prompts.count(experiment.tuned),
        "zero_shot_test_accuracy": None if zero_shot is None else zero_shot.accuracy,
        "val_accuracy": val_accuracy,
        "test_accuracy": tuned.accuracy,
        "test_loss": tuned.loss,
        "metric": metric,
        "zero_shot_test_metric": None if zero_shot is None else zero_shot.metric,
        "val_metric": val_metric,
        "test_metric": tuned.metric,
        **further_results(task, test),
        **_calibration(calibration),
        "versions": versions(),
        "pipeline": task.pipeline,
        "images_per_second": images_per_second(progress),
        "wall_seconds": progress.wall_seconds,
        "checkpoint_bytes": size(outcome.last) if tune else 0,
    }


def _calibration(found: Calibration | None) -> Result:
    """The temperature of the classifier and what it does; empty without one. `test_loss` is of the
    logits before."""
    if found is None:
        return {}
    return {
        "temperature": found.temperature,
        "test_calibration_error_before": found.before,
        "test_calibration_error": found.after,
    }


def further_results(task: data.TaskData, test: FinalTest) -> Result:
    """Accuracy on the test split by domain, and all scores on the further test splits.

    Empty for tasks without domains and further splits, such as the in-distribution ones of WILDS.
    """
    further: Result = {}
    if task.test.groups is not None:
        labels, groups = task.test.labels, task.test.groups
        by_group = scores.per_group(test.tuned.predictions, labels, groups, task.group_names)
        further["test_accuracy_by_group"] = by_group
    if test.extra:
        further["further_tests"] = {
            name: {"accuracy": x.accuracy, "metric": x.metric} for name, x in test.extra.items()
        }
    return further


def images_per_second(progress: Progress) -> float:
    """Of steady training; 0 where there was none."""
    return progress.train_images / progress.train_seconds if progress.train_seconds else 0.0
