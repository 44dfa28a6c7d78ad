"""Many runs at once, of prompts or heads, that differ in a few settings, trained in one program."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Sequence

import jax
from ml_collections import ConfigDict

from vp_jax.assembly.settings import check_settings, claim, hyper_parameters, settled
from vp_jax.assembly.setup import setup_all
from vp_jax.assembly.several.members import canonical, member_configs, sweep_config
from vp_jax.assembly.several.vary import Member, grid, parse_vary
from vp_jax.assembly.teacher import with_teacher
from vp_jax.assembly.texts.text_features import keep_text_features
from vp_jax.backbones import Backbone
from vp_jax.errors import UserError
from vp_jax.host import files
from vp_jax.host.interrupts import INTERRUPTS
from vp_jax.records import workdir as workdir_lib
from vp_jax.records.finished import begun
from vp_jax.records.loggers.following import followed
from vp_jax.records.names import RESULT
from vp_jax.report.conclusion import conclude_run
from vp_jax.report.result import Result
from vp_jax.report.sweep import finish_sweep
from vp_jax.training.experiment import Experiment
from vp_jax.training.fitting.frozen_features import forget, with_features
from vp_jax.training.loop import Loop

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
      members: what each has of its own, of `assembly.several.members.VARIED`, such as
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
    path = workdir / RESULT
    finished = begun(workdir, "sweep")
    if finished is not None:
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
        experiments = with_teacher(with_features(experiments, workdir))
        names = experiments[0].loop.logger
        followers = claims.enter_context(followed(names, workdir, folders, hyper_parameters))
        loop = Loop(experiments, workdir, folders, followers)
        result = finish_sweep(loop, loop.run(), members)
        for folder, own, each in zip(folders, result["members"], followers, strict=True):
            conclude_run(folder, own, each)
        INTERRUPTS.let_finish()
        workdir_lib.write_json(path, result)
        forget(workdir)
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
