"""A whole run, from settings to `result.json` and pictures; the evaluation of a finished one."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from vp_jax import data, distributed, prompts, report
from vp_jax.assembly import setup as setup_lib
from vp_jax.assembly.head import is_probe
from vp_jax.assembly.parts import mesh_of
from vp_jax.assembly.prompt import with_canonical_prompt
from vp_jax.assembly.settings import check_settings, claim, read_config
from vp_jax.assembly.text_features import store_text_features
from vp_jax.backbones import Backbone
from vp_jax.data.tasks import scores
from vp_jax.host import files
from vp_jax.host.interrupts import INTERRUPTS
from vp_jax.records import workdir as workdir_lib
from vp_jax.records.checkpoints import size
from vp_jax.records.finished import best_step, going_on, open_checkpoints
from vp_jax.records.mapping_file import write_mapping
from vp_jax.records.metrics import read_metrics
from vp_jax.records.record import check_classes, compare_test, parse, read, task_classes
from vp_jax.step.forward import Parts, make_seen
from vp_jax.step.fsdp import put_frozen
from vp_jax.step.sharding import check_batch_size, put, replicated
from vp_jax.training.evaluation import Evaluation
from vp_jax.training.experiment import Experiment
from vp_jax.training.loop import Loop
from vp_jax.training.probe import LinearProbe
from vp_jax.training.start import Outcome, evaluate_of, feed_of, fresh_state
from vp_jax.training.zero_shot import ZeroShot

EXAMPLES = 8

Result = dict[str, Any]


def train(
    config: ConfigDict, workdir: str | pathlib.Path, backbone: Backbone | None = None
) -> Result:
    """Trains, or goes on training, what `config.tune` names, and evaluates it once on test.

    Args:
      config: settings as `vp_jax.config.default()` has them.
      workdir: folder of this run: settings, checkpoints, metrics, result and pictures. A finished
        run is not repeated.
      backbone: a model of your own, as `backbones.from_fn` makes it, instead of the one that
        `config.backbone` names.

    Returns:
      What is in `result.json`.

    Raises:
      UserError: bad settings or input, or a folder that belongs to another run.
    """
    workdir = files.expanded(workdir)
    config = settled(config, backbone)
    setup_lib.check(config, backbone)
    check_batch_size(config.batch_size, mesh_of(config))
    check_settings(workdir, config)
    path = workdir / workdir_lib.RESULT
    INTERRUPTS.begin(lambda: going_on(workdir))
    finished = workdir_lib.read_result(workdir)
    if finished is not None:
        distributed.say(f"this run is finished: {path}")
        return finished
    experiment = setup_lib.setup(config, workdir, backbone)
    with claim(workdir, config):
        head = experiment.head
        store_text_features(
            workdir / workdir_lib.TEXT_FEATURES, head.text_features, head.text_origin
        )
        start = LinearProbe if is_probe(config) else Loop
        outcome = start(experiment, workdir).run()
        zero_shot, tuned = evaluate_outcome(experiment, outcome)
        parts = tuned_parts(experiment, outcome)
        extra = {n: outcome.evaluate(parts, s) for n, s in experiment.task.extra.items()}
        further = further_results(experiment.task, tuned, extra)
        result = make_result(experiment, outcome, zero_shot, tuned, further)
        write_mapping(
            experiment.head.head,
            outcome.best,
            experiment.backbone.source_classes,
            experiment.task.class_names,
            workdir,
        )
        if outcome.progress.best_step > 0:
            draw(experiment, outcome, zero_shot, tuned, workdir)
        INTERRUPTS.let_finish()
        workdir_lib.write_json(path, result)
        distributed.wait()
    return result


def settled(config: ConfigDict, backbone: Backbone | None) -> ConfigDict:
    """The settings as they are recorded: with the name of the user's own backbone, and the prompt
    in the one text of its meaning."""
    config = with_canonical_prompt(config)
    if backbone is not None:
        with config.unlocked():
            config.backbone.name = backbone.name
    return config


def evaluate_outcome(
    experiment: Experiment, outcome: Outcome
) -> tuple[Evaluation | None, Evaluation]:
    """The test split, looked at for the first and only time: before training, if that means
    anything, and with what was tuned."""
    test, zero_shot = experiment.task.test, None
    if outcome.zero_shot.exists:
        zero_shot = outcome.evaluate(outcome.zero_shot.parts(), test)
        if not experiment.tuned:
            return zero_shot, zero_shot
    return zero_shot, outcome.evaluate(tuned_parts(experiment, outcome), test)


def tuned_parts(experiment: Experiment, outcome: Outcome) -> Parts:
    """All parameters at the best step, or those before training where nothing was tuned."""
    if not experiment.tuned and outcome.zero_shot.exists:
        return outcome.zero_shot.parts()
    return {**outcome.frozen, **outcome.best}


def further_results(
    task: data.TaskData, tuned: Evaluation, extra: Mapping[str, Evaluation]
) -> Result:
    """Accuracy on the test split by domain, and all scores on the further test splits.

    Empty for tasks without domains and further splits, such as the in-distribution ones of WILDS.
    """
    further: Result = {}
    if task.test.groups is not None:
        labels, groups = task.test.labels, task.test.groups
        by_group = scores.per_group(tuned.predictions, labels, groups, task.group_names)
        further["test_accuracy_by_group"] = by_group
    if extra:
        further["further_tests"] = {
            name: {"accuracy": x.accuracy, "metric": x.metric} for name, x in extra.items()
        }
    return further


def make_result(
    experiment: Experiment,
    outcome: Outcome,
    zero_shot: Evaluation | None,
    tuned: Evaluation,
    further: Result,
) -> Result:
    """What `result.json` holds; accuracies in [0, 1], times in seconds.

    `zero_shot_test_accuracy` is None where the head began with nothing but random numbers.
    `class_keys` are what the data call the classes. `data_changes` says how the data differed from
    those of the first start, where that was accepted. `checkpoint_bytes` counts the arrays of a
    checkpoint. `images_per_second` is of steady training, without compilation, evaluations and
    checkpoints, or of computing a linear probe's features; `wall_seconds` is of everything, over
    all starts of the run.
    """
    progress, task = outcome.progress, experiment.task
    keys = task_classes(task).keys
    metric = task.task.metric
    val_accuracy, val_metric = progress.best.get("accuracy"), progress.best.get(metric)
    if not experiment.tune:
        val_metric = progress.zero_shot
        val_accuracy = val_metric if metric == "accuracy" else None
    if experiment.loop.select_on != "val" or not len(task.val):
        val_accuracy = val_metric = None
    speed = progress.train_images / progress.train_seconds if progress.train_seconds else 0.0
    return {
        "task": task.task.name,
        "backbone": experiment.backbone.name,
        "backbone_fingerprint": experiment.backbone.fingerprint,
        "prompt": str(experiment.prompt) if "prompt" in experiment.tune else None,
        "head": experiment.head.name,
        "tune": list(experiment.tune),
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
        **further,
        "pipeline": task.pipeline,
        "images_per_second": speed,
        "wall_seconds": progress.wall_seconds,
        "checkpoint_bytes": size(outcome.last) if experiment.tune else 0,
    }


def draw(
    experiment: Experiment,
    outcome: Outcome,
    zero_shot: Evaluation | None,
    tuned: Evaluation,
    workdir: pathlib.Path,
) -> None:
    """Writes `prompt.png` and `examples.png` of a prompt, `curves.png` of training by steps.

    All processes evaluate, the main one draws.
    """
    tune, task = experiment.tune, experiment.task
    chosen = example_indices(task.test.labels, EXAMPLES)
    shown = task.test.take(chosen)
    if zero_shot is not None:
        predicted = zero_shot.predictions[chosen]
    elif "prompt" in tune:  # the head that was trained with it, on images without it
        parts = {**outcome.frozen, **outcome.best}
        unprompted = outcome.evaluate({k: v for k, v in parts.items() if k != "prompt"}, shown)
        predicted = unprompted.predictions
    if not distributed.is_main():
        return
    if experiment.total_steps:
        report.curves(
            workdir / "curves.png",
            read_metrics(workdir),
            outcome.progress.zero_shot,
            before=report.before_training(experiment.head.name, tune),
        )
    if "prompt" not in tune:
        return
    params = jax.device_get(outcome.best["prompt"])
    draw_prompt(experiment, params, workdir / "prompt.png")
    before, after = prompted_examples(experiment, params, shown)
    named = [
        [task.class_names[i] for i in labels]
        for labels in (shown.labels, predicted, tuned.predictions[chosen])
    ]
    report.examples(workdir / "examples.png", before, after, *named)


def draw_prompt(experiment: Experiment, params: Any, path: pathlib.Path) -> None:
    """Writes the picture of a prompt, as PNG."""
    picture = prompts.to_image(experiment.prompt, params, experiment.image_shape)
    title = f"{experiment.prompt}, {prompts.count(params):,} parameters"
    report.prompt_picture(path, picture, title)


def prompted_examples(
    experiment: Experiment, params: Any, shown: data.Split
) -> tuple[np.ndarray, np.ndarray]:
    """Images of the task as the backbone gets them without and with the prompt, in [0, 1] RGB."""
    backbone, task = experiment.backbone, experiment.task
    seen = make_seen(backbone, experiment.prompt, resized=task.resized)
    mean, std = np.array(backbone.mean, np.float32), np.array(backbone.std, np.float32)
    key = jax.random.fold_in(experiment.key, 0)
    before = seen({}, np.asarray(shown.unprompted().images))
    after = seen({"prompt": params}, np.asarray(shown.images), rng=key)
    return np.asarray(before) * std + mean, np.asarray(after) * std + mean


def example_indices(labels: np.ndarray, count: int) -> np.ndarray:
    """The first example of each of `count` classes spread over all, as sorted positions."""
    classes, first = np.unique(labels, return_index=True)
    spread = np.linspace(0, len(classes) - 1, min(count, len(classes))).round().astype(int)
    return np.sort(first[spread])


def evaluate(
    workdir: str | pathlib.Path,
    weights: str | None = None,
    data_dir: str | None = None,
    backbone: Backbone | None = None,
    batch_size: int | None = None,
) -> Result:
    """Test accuracy of a run's best checkpoint, and of the same model before training.

    Args:
      workdir: of a training, finished or not.
      weights: where the backbone's weights are now, if not where they were.
      data_dir: likewise for the data.
      backbone: the user's own one, if it was trained with one.
      batch_size: images at a time, if not as in training; all devices share them evenly.

    Returns:
      task, backbone, tune, step, steps, zero_shot_test_accuracy, test_accuracy; and `same_data`,
      whether the test examples are the run's own, and `test_examples_trained_on`, how many of
      others it has trained on: both are None where that is not known.

    Raises:
      UserError: no run or no checkpoint there, something of it is missing or damaged, or the data
        have other classes.
    """
    INTERRUPTS.begin()
    workdir = files.expanded(workdir)
    config = read_config(workdir)
    with config.ignore_type():
        config.backbone.weights = weights or config.backbone.weights
        config.task.data_dir = data_dir or config.task.data_dir
    experiment = setup_lib.setup(config, workdir, backbone)
    everywhere = replicated(mesh := experiment.mesh)
    feed = feed_of(experiment, mesh, batch_size)
    run_evaluate = evaluate_of(experiment, feed, mesh)
    frozen = put_frozen(experiment.frozen, mesh)
    before = ZeroShot(experiment, frozen, feed, mesh)
    zero_shot = run_evaluate(before.parts(), experiment.task.test) if before.exists else None
    best, test = 0, zero_shot
    if config.tune:
        best, changed = load_best(experiment, workdir)
        test = run_evaluate({**frozen, **put(changed, everywhere)}, experiment.task.test)
    return {
        "task": config.task.name,
        "backbone": config.backbone.name,
        "head": config.head.name,
        "tune": list(config.tune),
        "step": best,
        "steps": experiment.total_steps,
        "test_examples": len(experiment.task.test),
        **compare_test(read(workdir), experiment.task, workdir),
        "zero_shot_test_accuracy": None if zero_shot is None else zero_shot.accuracy,
        "test_accuracy": test.accuracy,
        "metric": experiment.task.task.metric,
        "zero_shot_test_metric": None if zero_shot is None else zero_shot.metric,
        "test_metric": test.metric,
    }


def load_best(experiment: Experiment, workdir: pathlib.Path) -> tuple[int, Parts]:
    """The best step of a run, and the parts that changed, as they were then.

    Raises:
      UserError: there is no checkpoint, or it does not belong to the experiment.
    """
    checkpoints = open_checkpoints(workdir)
    fresh = fresh_state(experiment)
    state, meta = checkpoints.restore_latest(fresh, experiment.identity)
    check_classes(parse(meta), experiment.task, workdir)
    best = best_step(meta, workdir)
    if best != int(state.step):
        state = checkpoints.read_one(best, lambda step: checkpoints.restore(step, fresh))
    return best, {**state.mapping, **state.tuned}
