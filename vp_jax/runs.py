"""Whole runs, as a notebook calls them: train one, evaluate a finished one."""

from __future__ import annotations

import pathlib

from ml_collections import ConfigDict

from vp_jax import distributed
from vp_jax.assembly.own_parts import experiment as experiment
from vp_jax.assembly.own_parts import load_task as load_task
from vp_jax.assembly.plan import plan
from vp_jax.assembly.scan import scanned
from vp_jax.assembly.settings import hyper_parameters
from vp_jax.assembly.setup import setup_again
from vp_jax.assembly.teacher import with_teacher
from vp_jax.assembly.texts.text_features import keep_text_features
from vp_jax.assembly.trained import complete
from vp_jax.backbones import Backbone
from vp_jax.host import files
from vp_jax.host.interrupts import INTERRUPTS
from vp_jax.records import workdir as workdir_lib
from vp_jax.records.finished import begun
from vp_jax.records.loggers.following import followed
from vp_jax.records.names import RESULT
from vp_jax.records.record import compare_test, read
from vp_jax.report.conclusion import conclude_run
from vp_jax.report.finish import finish
from vp_jax.report.result import Result
from vp_jax.retest import retest
from vp_jax.step.forward import head_params
from vp_jax.training.experiment import Experiment as Experiment
from vp_jax.training.fitting.frozen_features import forget, with_features
from vp_jax.training.loop import Loop
from vp_jax.training.loop_settings import LoopSettings as LoopSettings
from vp_jax.training.probe import LinearProbe


def train(
    run: ConfigDict | Experiment, workdir: str | pathlib.Path, backbone: Backbone | None = None
) -> Result:
    """Trains, or goes on training, a run, and evaluates it once on test.

    Args:
      run: settings as `vp_jax.config.default()` has them, of which `tune` says what trains; or
        the parts of a run, as `experiment` puts them together.
      workdir: folder of this run: settings, checkpoints, metrics, result and pictures. A finished
        run is not repeated.
      backbone: a model of your own, as `backbones.from_fn` makes it, instead of the one that
        the settings name.

    Returns:
      What is in `result.json`.

    Raises:
      UserError: bad settings or input, or a folder that belongs to another run.
    """
    workdir = files.expanded(workdir)
    run = scanned(run, workdir, backbone)
    planned = plan(run, backbone)
    planned.check(workdir)
    path = workdir / RESULT
    finished = begun(workdir, "run")
    if finished is not None:
        return finished
    made = planned.setup(workdir)
    with planned.claim(workdir):
        (made,) = with_teacher(with_features([made], workdir))
        keep_text_features(workdir, made.head)
        start = Loop if made.solver is None else LinearProbe
        names, folders = made.loop.logger, [workdir]
        with followed(names, workdir, folders, hyper_parameters) as followers:
            (outcome,) = start([made], workdir, followers=followers).run()
            result = finish(made, outcome, workdir)
            conclude_run(workdir, result, followers[0])
        INTERRUPTS.let_finish()
        workdir_lib.write_json(path, result)
        forget(workdir)
        distributed.wait()
    return result


def evaluate(
    workdir: str | pathlib.Path,
    weights: str | None = None,
    data_dir: str | None = None,
    backbone: Backbone | None = None,
    batch_size: int | None = None,
    experiment: Experiment | None = None,
) -> Result:
    """Test accuracy of a run's best checkpoint, and of the same model before training.

    Args:
      workdir: of a training, finished or not.
      weights: where the backbone's weights are now, if not where they were.
      data_dir: likewise for the data.
      backbone: the user's own one, if it was trained with one.
      batch_size: images at a time, if not as in training; all devices share them evenly.
      experiment: the parts of a run that was made of them, weights and data among them.

    Returns:
      task, backbone, prompt, head, tune, step, steps, zero_shot_test_accuracy, test_accuracy; and
      `same_data`, whether the test examples are the run's own, and `test_examples_trained_on`, how
      many of others it has trained on: both are None where that is not known.

    Raises:
      UserError: no run or no checkpoint there, something of it is missing or damaged, or the data
        have other classes.
    """
    INTERRUPTS.begin()
    workdir = files.expanded(workdir)
    if experiment is None:
        experiment = setup_again(workdir, weights, data_dir, backbone)
    found = retest(experiment, workdir, batch_size)
    complete(experiment, workdir, head_params(found.classifier.parts))
    task, zero_shot = experiment.task, found.before()
    test = found.tuned() if zero_shot is None or experiment.tune else zero_shot
    return {
        "task": task.task.name,
        "backbone": experiment.backbone.name,
        "prompt": str(experiment.prompt) if "prompt" in experiment.tune else None,
        "head": experiment.head.name,
        "tune": list(experiment.tune),
        "step": found.step,
        "steps": experiment.total_steps,
        "test_examples": len(task.test),
        **compare_test(read(workdir), task, workdir),
        "zero_shot_test_accuracy": None if zero_shot is None else zero_shot.accuracy,
        "test_accuracy": test.accuracy,
        "metric": task.task.metric,
        "zero_shot_test_metric": None if zero_shot is None else zero_shot.metric,
        "test_metric": test.metric,
    }
