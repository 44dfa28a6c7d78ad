"""Many runs at once, of prompts or heads, that differ in a few settings, trained in one program."""

from __future__ import annotations

import contextlib
import pathlib
import sys
from collections.abc import Sequence

import jax
import numpy as np
from ml_collections import ConfigDict

from vp_jax import report
from vp_jax.assembly.members import canonical, member_configs, sweep_config
from vp_jax.assembly.settings import check_settings, claim, settled
from vp_jax.assembly.setup import setup_all
from vp_jax.assembly.text_features import keep_text_features
from vp_jax.assembly.trained import to_keep
from vp_jax.assembly.vary import Member, grid, label, parse_vary
from vp_jax.backbones import Backbone
from vp_jax.classifier import of_experiment
from vp_jax.errors import UserError
from vp_jax.host import files
from vp_jax.host.interrupts import INTERRUPTS
from vp_jax.records import classifier_file
from vp_jax.records import workdir as workdir_lib
from vp_jax.records.finished import going_on
from vp_jax.records.mapping_file import write_mapping
from vp_jax.records.metrics import read_metrics
from vp_jax.report.result import Result, images_per_second, make_result
from vp_jax.report.run_pictures import draw_prompt
from vp_jax.training.evaluation import measure
from vp_jax.training.experiment import Experiment
from vp_jax.training.final_test import FinalTest, tuned_parts
from vp_jax.training.loop import Loop
from vp_jax.training.start import Outcome

__all__ = ["grid", "parse_vary", "train_many"]


def train_many(
    config: ConfigDict,
    members: Sequence[Member],
    workdir: str | pathlib.Path,
    backbone: Backbone | None = None,
) -> Result:
    """Trains prompts or heads over one frozen backbone in one program, and evaluates each on test.

    Each member ends as its own `runs.train` would, but for the order of sums in float32. It is kept
    in `workdir/0`, `workdir/1`, ... as a finished run. A member whose loss is not finite ends
    without a result, and the others go on.

    Args:
      config: the settings that all share; `config.tune` has prompt, head or both.
      members: what each has of its own, of `assembly.members.VARIED`, such as
        `{"seed": 1, "optimizer.learning_rate": 10.0}`; see `grid`.
      workdir: folder of all. As with `runs.train`, what was interrupted is gone on with, and what
        is finished is not repeated.
      backbone: a model of your own, as for `runs.train`.

    Returns:
      What is in `workdir/result.json`: `members`, in order, each with its `folder`, its own
      `settings`, and what its `result.json` holds or else `failed_step`; `best_member`, by the
      split that is selected on; and the accuracy of the `ensemble`, whose class probabilities are
      the mean of the members'.

    Raises:
      UserError: bad settings, members or input, or a folder that belongs to another run.
    """
    workdir = files.expanded(workdir)
    config = settled(config, backbone)
    configs = member_configs(config, members, backbone)
    members = canonical(members)
    sweep = sweep_config(config, members)
    check_settings(workdir, sweep)
    path = workdir / workdir_lib.RESULT
    INTERRUPTS.begin(lambda: going_on(workdir))
    finished = workdir_lib.read_result(workdir)
    if finished is not None:
        print(f"this sweep is finished: {path}", file=sys.stderr)
        return finished
    experiments = setup_all(configs, workdir, backbone)
    _check_experiment(experiments[0])
    folders = [workdir / str(number) for number in range(len(members))]
    with contextlib.ExitStack() as claims:
        claims.enter_context(claim(workdir, sweep))
        for folder, own in zip(folders, configs, strict=True):
            claims.enter_context(claim(folder, own))
        for folder in (workdir, *folders):
            keep_text_features(folder, experiments[0].head)
        loop = Loop(experiments, workdir, folders)
        result = _finish(loop, loop.run(), members)
        INTERRUPTS.let_finish()
        workdir_lib.write_json(path, result)
    return result


def _check_experiment(experiment: Experiment) -> None:
    if jax.process_count() > 1:
        raise UserError("many prompts at once are trained by one process; start only one")
    if experiment.task.pipeline != "resident":
        raise UserError(
            "many prompts at once are trained on images in the devices' memory, and those of "
            f"{experiment.task.task.name} are {experiment.task.pipeline}: give "
            "--config.task.pipeline=resident if they fit, or train these runs one by one"
        )


def _finish(loop: Loop, outcomes: Sequence[Outcome], members: Sequence[Member]) -> Result:
    """Tests all members once, and writes what is their own into their folders."""
    task, failed = loop.experiment.task, loop.has_failed
    zero_shots = loop.zero_shot_on("test")
    tuned, probabilities = loop.test(task.test, outcomes)
    extra = {name: loop.test(split, outcomes)[0] for name, split in task.extra.items()}
    results: list[Result] = []
    for i, (outcome, member) in enumerate(zip(outcomes, members, strict=True)):
        own: Result = {"folder": loop.folders[i].name, "settings": dict(member)}
        if failed[i]:
            own["failed_step"] = int(outcome.last.failed_step)
        else:
            extra_tests = {name: found[i] for name, found in extra.items()}
            test = FinalTest(zero_shots[i], tuned[i], extra_tests)
            own |= _finish_member(loop, i, outcome, test)
        results.append(own)
    report.sweep_curves(
        loop.workdir / "sweep.png",
        [read_metrics(folder) for folder in loop.folders],
        [label(member) for member in members],
        loop.settings.select_on,
    )
    return {
        "members": results,
        "best_member": _best(loop, outcomes),
        "ensemble": _ensemble(loop, probabilities),
        "images_per_second": images_per_second(loop.progress),
        "wall_seconds": loop.progress.wall_seconds,
    }


def _finish_member(loop: Loop, number: int, outcome: Outcome, test: FinalTest) -> Result:
    experiment, folder = loop.members.experiments[number], loop.folders[number]
    loop.save_member(number, outcome)
    result = make_result(experiment, outcome, test)
    write_mapping(
        experiment.head.head,
        outcome.best,
        experiment.backbone.source_classes,
        experiment.task.class_names,
        folder,
    )
    head = tuned_parts(experiment, outcome)["head"]
    classifier_file.write(folder, to_keep(experiment, head))
    if "prompt" in experiment.tune:
        draw_prompt(of_experiment(experiment, outcome.best), folder)
    workdir_lib.write_json(folder / workdir_lib.RESULT, result)
    return result


def _best(loop: Loop, outcomes: Sequence[Outcome]) -> int:
    """The first member with the best evaluation on the split that is selected on."""
    by = [
        -1.0 if failed else outcome.progress.best[loop.metric]
        for outcome, failed in zip(outcomes, loop.has_failed, strict=True)
    ]
    return int(np.argmax(by))


def _ensemble(loop: Loop, probabilities: np.ndarray) -> Result:
    test = loop.experiment.task.test
    predictions = probabilities.argmax(axis=-1)
    return {
        "members": int((~loop.has_failed).sum()),
        "test_accuracy": float((predictions == test.labels).mean()),
        "test_metric": measure(loop.experiment.task, test, predictions),
    }
