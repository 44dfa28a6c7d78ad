"""A whole run, from settings to `result.json` and pictures; the evaluation of a finished one."""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from vp_jax import prompts, report
from vp_jax.data.preprocess import ResizeRule, preprocess
from vp_jax.errors import UserError
from vp_jax.training import setup as setup_lib
from vp_jax.training import workdir as workdir_lib
from vp_jax.training.checkpoints import Checkpoints, size
from vp_jax.training.evaluation import Evaluation, make_evaluate
from vp_jax.training.forward import Parts
from vp_jax.training.loop import Loop, Outcome
from vp_jax.training.metrics import read_metrics
from vp_jax.training.setup import Experiment
from vp_jax.training.sharding import make_mesh, put, replicated
from vp_jax.training.step import init_state

EXAMPLES = 8

Result = dict[str, Any]


def train(config: ConfigDict, workdir: str | pathlib.Path) -> Result:
    """Trains, or goes on training, what `config.tune` names, and evaluates it once on test.

    Args:
      config: settings as `vp_jax.config.default()` has them.
      workdir: folder of this run: settings, checkpoints, metrics, result and pictures. A finished
        run is not repeated.

    Returns:
      What is in `result.json`.

    Raises:
      UserError: bad settings or input, or a folder that belongs to another run.
    """
    workdir = pathlib.Path(workdir)
    setup_lib.check(config)
    workdir_lib.check_settings(workdir, config)
    path = workdir / workdir_lib.RESULT
    if path.exists():
        print(f"this run is finished: {path}", file=sys.stderr)
        return json.loads(path.read_text())
    experiment = setup_lib.setup(config, workdir)
    with workdir_lib.claim(workdir, config):
        setup_lib.store_text_features(experiment, workdir)
        outcome = Loop(experiment, workdir).run()
        zero_shot, tuned = evaluate_outcome(experiment, outcome)
        result = make_result(experiment, outcome, zero_shot, tuned)
        if "prompt" in config.tune:
            draw(experiment, outcome, zero_shot, tuned, workdir)
        workdir_lib.write_json(path, result)
    return result


def evaluate_outcome(experiment: Experiment, outcome: Outcome) -> tuple[Evaluation, Evaluation]:
    """The test split, looked at for the first and only time: without and with what was tuned."""
    test = experiment.task.test
    zero_shot = outcome.evaluate(outcome.frozen, test)
    if not outcome.best:
        return zero_shot, zero_shot
    return zero_shot, outcome.evaluate({**outcome.frozen, **outcome.best}, test)


def make_result(
    experiment: Experiment, outcome: Outcome, zero_shot: Evaluation, tuned: Evaluation
) -> Result:
    """What `result.json` holds; accuracies in [0, 1], times in seconds.

    `checkpoint_bytes` counts the arrays of a checkpoint. `images_per_second` is of steady training,
    without compilation, evaluations and checkpoints; `wall_seconds` is of everything, over all
    starts of the run.
    """
    config, progress, task = experiment.config, outcome.progress, experiment.task
    val_accuracy = progress.best.get("accuracy", progress.zero_shot)
    if config.select_on != "val" or not len(task.val):
        val_accuracy = None
    speed = progress.train_images / progress.train_seconds if progress.train_seconds else 0.0
    return {
        "task": config.task.name,
        "backbone": config.backbone.name,
        "backbone_fingerprint": experiment.backbone.fingerprint,
        "prompt": config.prompt.name if config.tune else None,
        "tune": list(config.tune),
        "seed": config.seed,
        "classes": len(task.class_names),
        "train_examples": len(task.train),
        "val_examples": len(task.val),
        "test_examples": len(task.test),
        "skipped_examples": task.skipped,
        "steps": int(outcome.last.step),
        "best_step": progress.best_step,
        "selected_on": config.select_on,
        "trainable_parameters": prompts.count(experiment.tuned),
        "zero_shot_test_accuracy": zero_shot.accuracy,
        "val_accuracy": val_accuracy,
        "test_accuracy": tuned.accuracy,
        "test_loss": tuned.loss,
        "images_per_second": speed,
        "wall_seconds": progress.wall_seconds,
        "checkpoint_bytes": size(outcome.last) if config.tune else 0,
    }


def draw(
    experiment: Experiment,
    outcome: Outcome,
    zero_shot: Evaluation,
    tuned: Evaluation,
    workdir: pathlib.Path,
) -> None:
    """Writes `prompt.png`, `curves.png` and `examples.png`."""
    task, prompt = experiment.task, experiment.prompt
    params = jax.device_get(outcome.best["prompt"])
    picture = prompts.to_image(prompt, params, experiment.image_shape)
    title = f"{experiment.config.prompt.name}, {prompts.count(params):,} parameters"
    report.prompt_picture(workdir / "prompt.png", picture, title)
    report.curves(workdir / "curves.png", read_metrics(workdir), outcome.progress.zero_shot)

    chosen = example_indices(task.test.labels, EXAMPLES)
    before, after = prompted_examples(experiment, params, task.test.images[chosen])
    named = [
        [task.class_names[i] for i in labels[chosen]]
        for labels in (task.test.labels, zero_shot.predictions, tuned.predictions)
    ]
    report.examples(workdir / "examples.png", before, after, *named)


def prompted_examples(
    experiment: Experiment, params: Any, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Images as the backbone gets them without and with the prompt, both back in [0, 1] RGB."""
    backbone, prompt = experiment.backbone, experiment.prompt
    rule = ResizeRule(backbone.image_size, backbone.resize_size, backbone.resize_method)
    before = preprocess(images, rule)
    key = jax.random.fold_in(experiment.key, 0)
    if experiment.config.prompt.space == "pixel":
        after = prompt.apply(params, before, rng=key)
    else:
        mean, std = np.array(backbone.mean, np.float32), np.array(backbone.std, np.float32)
        after = prompt.apply(params, (before - mean) / std, rng=key) * std + mean
    return np.asarray(before), np.asarray(after)


def example_indices(labels: np.ndarray, count: int) -> np.ndarray:
    """The first example of each of `count` classes spread over all, as sorted positions."""
    classes, first = np.unique(labels, return_index=True)
    spread = np.linspace(0, len(classes) - 1, min(count, len(classes))).round().astype(int)
    return np.sort(first[spread])


def evaluate(
    workdir: str | pathlib.Path, weights: str | None = None, data_dir: str | None = None
) -> Result:
    """Test accuracy of a run's best checkpoint, and of the same model without the prompt.

    Args:
      workdir: of a training, finished or not.
      weights: where the backbone's weights are now, if not where they were.
      data_dir: likewise for the data.

    Returns:
      task, backbone, tune, step, steps, zero_shot_test_accuracy, test_accuracy.

    Raises:
      UserError: no run or no checkpoint there, or something of it is missing or damaged.
    """
    workdir = pathlib.Path(workdir)
    config = workdir_lib.read_config(workdir)
    with config.ignore_type():
        config.backbone.weights = weights or config.backbone.weights
        config.task.data_dir = data_dir or config.task.data_dir
    experiment = setup_lib.setup(config, workdir)
    everywhere = replicated(mesh := make_mesh())
    run_evaluate = make_evaluate(experiment.forward, experiment.key, config.batch_size, mesh)
    frozen = put(experiment.frozen, everywhere)
    zero_shot = run_evaluate(frozen, experiment.task.test)
    best, test = 0, zero_shot
    if config.tune:
        best, tuned = _best(experiment, workdir)
        test = run_evaluate({**frozen, **put(tuned, everywhere)}, experiment.task.test)
    return {
        "task": config.task.name,
        "backbone": config.backbone.name,
        "tune": list(config.tune),
        "step": best,
        "steps": experiment.total_steps,
        "test_examples": len(experiment.task.test),
        "zero_shot_test_accuracy": zero_shot.accuracy,
        "test_accuracy": test.accuracy,
    }


def _best(experiment: Experiment, workdir: pathlib.Path) -> tuple[int, Parts]:
    folder = workdir / workdir_lib.CHECKPOINTS
    if not folder.is_dir():
        raise UserError(f"{workdir} holds no checkpoint yet; train first")
    checkpoints = Checkpoints(folder)
    fresh = init_state(experiment.tuned, experiment.optimizer, experiment.key)
    found = checkpoints.restore_latest(fresh, experiment.identity)
    if found is None:
        raise UserError(f"{folder} holds no checkpoint yet; train first")
    state, meta = found
    best = meta["progress"]["best_step"]
    if best < 0:
        raise UserError(f"no epoch of the run in {workdir} has been evaluated yet; train on")
    if best != int(state.step):
        state = checkpoints.restore(best, fresh)
    checkpoints.close()
    return best, state.tuned
