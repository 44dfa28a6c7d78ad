"""A prompt that is learned on several tasks, as a start for others."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

import jax
from ml_collections import ConfigDict

from vp_jax.assembly.settings import check_settings, claim, hyper_parameters, settled
from vp_jax.assembly.setup import setup_tasks
from vp_jax.assembly.several.start_tasks import (
    TaskSettings,
    parse_tasks,
    start_config,
    task_configs,
)
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
from vp_jax.report.start import finish_start
from vp_jax.training.fitting.frozen_features import with_features
from vp_jax.training.reptile import Reptile, Rounds, names_of

__all__ = ["Rounds", "parse_tasks", "train_start"]


def train_start(
    config: ConfigDict,
    tasks: Sequence[TaskSettings],
    workdir: str | pathlib.Path,
    rounds: Rounds = Rounds(),  # noqa: B008 # frozen
    backbone: Backbone | None = None,
) -> Result:
    """Learns a prompt from which a few steps lead far on each of several tasks, by Reptile.

    In each round every task makes some steps from the prompt, theta, by the optimiser of the
    settings, without the momentum of the round before; then theta moves a share of the way to the
    mean of what they arrive at (Nichol et al., arXiv 1803.02999). This is the meta-learned start
    of DAM-VP (Huang et al., arXiv 2303.08138).

    Args:
      config: the settings that all tasks share; `config.tune` is the prompt, the schedule is
        constant. `epochs` and what is said of evaluations has no meaning here.
      tasks: names of tasks, or what each has of its own among task.*, head.*, optimizer.* and
        batch_size, by dotted names.
      workdir: of a run on the first of the tasks, with which `start.from_run=workdir` lets others
        begin. As with `runs.train`, what was interrupted is gone on with, and what is finished is
        not repeated.
      rounds: how many, of how many steps.
      backbone: a model of your own, as for `runs.train`.

    Returns:
      What is in `result.json`: `tasks`, each with its `task`, and `first_loss` and `last_loss`, of
      the last batch of its first and its last round; `prompt`, `backbone`, `rounds`, `steps`,
      `share`, `wall_seconds`.

    Raises:
      UserError: bad settings, tasks or input, or a folder that belongs to another run.
    """
    if jax.process_count() > 1:
        raise UserError("a start is learned by one process; start only one")
    workdir = files.expanded(workdir)
    configs = task_configs(settled(config, backbone), tasks)
    own = start_config(configs[0], tasks, dataclasses.asdict(rounds))
    check_settings(workdir, own)
    finished = begun(workdir, "start")
    if finished is not None:
        return finished
    experiments = setup_tasks(configs, workdir, backbone)
    with claim(workdir, own):
        keep_text_features(workdir, experiments[0].head)
        experiments = [with_features([e], only=["train"])[0] for e in experiments]
        named = dict(zip(names_of(experiments), experiments, strict=True))
        names, folders = experiments[0].loop.logger, [workdir]
        with followed(names, workdir, folders, hyper_parameters) as followers:
            (outcome,) = Reptile(named, rounds, workdir, followers).run()
            result = finish_start(named, rounds, outcome, workdir)
            conclude_run(workdir, result, followers[0])
        INTERRUPTS.let_finish()
        workdir_lib.write_json(workdir / RESULT, result)
    return result
