"""From settings to everything that a run needs: backbone, data, prompt, head and optimiser."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

from jax.sharding import Mesh
from ml_collections import ConfigDict

from vp_jax import data
from vp_jax.assembly.checks import check
from vp_jax.assembly.compose import (
    NOTHING_LEARNS,
    compose,
    in_units_of_length,
    keys_of,
    steps_per_epoch,
)
from vp_jax.assembly.parts.augment import make_augment, make_mixing
from vp_jax.assembly.parts.backbone import check_loaded, get_backbone, mesh_of
from vp_jax.assembly.parts.head import (
    READ_NAMES,
    base_name,
    is_probe,
    make_head,
    make_texts,
    starts_from_text,
)
from vp_jax.assembly.parts.loop import loop_settings, make_advice, penalties_of
from vp_jax.assembly.parts.optimizer import optimization
from vp_jax.assembly.parts.prompt import acting_prompt
from vp_jax.assembly.parts.prompt_start import start_prompt
from vp_jax.assembly.parts.task import check_same_everywhere, load_task
from vp_jax.assembly.settings import read_config
from vp_jax.assembly.texts.text_features import Features
from vp_jax.backbones import Backbone
from vp_jax.data.tasks.classes import same_names
from vp_jax.records import record as record_lib
from vp_jax.step.forward import seen_rule
from vp_jax.training.experiment import Experiment


def setup(
    config: ConfigDict, workdir: pathlib.Path, backbone: Backbone | None = None
) -> Experiment:
    """Loads and makes all parts of a run. Writes nothing.

    Args:
      config: all settings.
      workdir: where the text features are read from if the run has stored them.
      backbone: one of the user's own, instead of the one that `config.backbone` names.

    Raises:
      UserError: something is missing, damaged or does not fit; says what, where, what to do.
    """
    return setup_all([config], workdir, backbone)[0]


def setup_again(
    workdir: pathlib.Path,
    weights: str | None = None,
    data_dir: str | None = None,
    backbone: Backbone | None = None,
) -> Experiment:
    """All parts of the run in a folder, of the settings that it was made from.

    Args:
      workdir: of the run.
      weights: where the backbone's weights are now, if not where they were.
      data_dir: likewise for the data.
      backbone: the user's own one, if it was trained with one.

    Raises:
      UserError: there is no run, it was made of parts, or as `setup`.
    """
    config = read_config(workdir)
    with config.ignore_type():
        config.backbone.weights = weights or config.backbone.weights
        config.task.data_dir = data_dir or config.task.data_dir
    return setup(config, workdir, backbone)


def setup_all(
    configs: Sequence[ConfigDict], workdir: pathlib.Path, backbone: Backbone | None = None
) -> list[Experiment]:
    """The same for runs that differ in their seed, prompt or optimiser only: backbone, images and
    text features are loaded once, and shared."""
    for config in configs:
        check(config, backbone)
    return _setup_members(configs, workdir, get_backbone(configs[0], backbone))


def setup_tasks(
    configs: Sequence[ConfigDict], workdir: pathlib.Path, backbone: Backbone | None = None
) -> list[Experiment]:
    """The same for runs on several tasks: the backbone is loaded once, and shared.

    Only those of the first may have stored text features in `workdir`.
    """
    for config in configs:
        check(config, backbone)
    backbone = get_backbone(configs[0], backbone)
    for config in configs:
        check_loaded(config, backbone)
    folders = [workdir, *(workdir / f"task {n}" for n in range(1, len(configs)))]
    pairs = zip(configs, folders, strict=True)
    return [_setup_members([config], folder, backbone)[0] for config, folder in pairs]


def _setup_members(
    configs: Sequence[ConfigDict], workdir: pathlib.Path, backbone: Backbone
) -> list[Experiment]:
    first = configs[0]
    mesh = mesh_of(first)
    drawn = [start_prompt(config, backbone) for config in configs]  # misfits, before the long work
    task = task_of_run(first, workdir, backbone)
    tasks = {first.seed: task}
    for config in configs:
        if config.seed not in tasks:
            assert task.reseed is not None  # It was loaded, not made by hand.
            tasks[config.seed] = task.reseed(config.seed)
    texts, origin = make_texts(first, backbone, task, workdir)
    return [
        _assemble(config, mesh, backbone, tasks[config.seed], params, texts, origin)
        for config, params in zip(configs, drawn, strict=True)
    ]


def task_again(workdir: pathlib.Path, backbone: Backbone) -> data.TaskData:
    """The data of the run in a folder, for a backbone that is there already.

    Raises:
      UserError: as `setup_again`.
    """
    return task_of_run(read_config(workdir), workdir, backbone)


def task_of_run(config: ConfigDict, workdir: pathlib.Path, backbone: Backbone) -> data.TaskData:
    """The data of a run, with the classes that it has in its folder if it was begun before.

    Raises:
      UserError: as `load_task`, or processes read different data.
    """
    record = record_lib.read(workdir) or record_lib.Record(None, None)
    task = load_task(config, backbone, record.classes)
    if record.classes is not None and base_name(config) in READ_NAMES:
        whose = f"the run in {workdir}", "these data"
        same_names(record.classes.names, task.class_names, *whose)
    check_same_everywhere(task)
    return task


def _assemble(
    config: ConfigDict,
    mesh: Mesh,
    backbone: Backbone,
    task: data.TaskData,
    prompt_params: Any,
    texts: Features,
    origin: dict[str, str],
) -> Experiment:
    prompt, loop = acting_prompt(config), loop_settings(config)
    by_steps = config.tune and not is_probe(config)
    steps = steps_per_epoch(task, loop) * loop.epochs if by_steps else 0
    key = keys_of(config.seed).head
    head = make_head(config, backbone, task.class_names, key, texts, origin, task.classes)
    if starts_from_text(config, backbone) and by_steps:
        head = in_units_of_length(head, backbone, prompt, task)
    return compose(
        backbone=backbone,
        task=task,
        prompt=prompt,
        prompt_params=prompt_params,
        head=head,
        tune=tuple(config.tune),
        seed=config.seed,
        loop=loop,
        mesh=mesh,
        optimization=optimization(config, steps) if by_steps else NOTHING_LEARNS,
        solver=config.head.solver if is_probe(config) else None,
        augment=make_augment(config),
        mixing=make_mixing(config, seen_rule(backbone, prompt).image_size),
        second_pass=config.head.second_pass,
        advice=make_advice(config, steps),
        penalties=penalties_of(config),
    )
