"""From settings to everything that a run needs: backbone, data, prompt, head and optimiser."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vp_jax import backbones, data, distributed
from vp_jax.assembly.checks import check, check_loaded, make_augment, make_mixing
from vp_jax.assembly.head import (
    READ_NAMES,
    is_probe,
    make_head,
    make_texts,
    starts_from_text,
)
from vp_jax.assembly.parts import (
    learning_rates,
    loop_settings,
    make_advice,
    make_schedules,
    mesh_of,
    peak_to_optimizer,
)
from vp_jax.assembly.prompt import acting_prompt
from vp_jax.assembly.text_features import Features
from vp_jax.backbones import Backbone
from vp_jax.data.images import cache
from vp_jax.data.tasks.classes import Classes, same_names
from vp_jax.data.tasks.contents import checksum
from vp_jax.errors import UserError
from vp_jax.records import record as record_lib
from vp_jax.step.device_memory import resident_limit
from vp_jax.step.forward import Forward, Parts, make_forward, make_outputs, resize_rule, seen_rule
from vp_jax.step.fsdp import gather_on_use
from vp_jax.step.tally import Tally
from vp_jax.training.experiment import Experiment

HEAD_STREAM = 1
SAMPLE = 32  # images


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


def setup_all(
    configs: Sequence[ConfigDict], workdir: pathlib.Path, backbone: Backbone | None = None
) -> list[Experiment]:
    """The same for runs that differ in their seed, prompt or optimiser only: backbone, images and
    text features are loaded once, and shared."""
    for config in configs:
        check(config, backbone)
    first = configs[0]
    mesh = mesh_of(first)
    if backbone is None:
        backbone = load_backbone(first)
        check_loaded(first, backbone)
    drawn = [init_prompt(config, backbone) for config in configs]
    record = record_lib.read(workdir) or record_lib.Record(None, None)
    task = load_task(first, backbone, record.classes)
    if record.classes is not None and first.head.name in READ_NAMES:
        whose = f"the run in {workdir}", "these data"
        same_names(record.classes.names, task.class_names, *whose)
    _check_shared(task)
    tasks = {first.seed: task}
    tasks |= {c.seed: task.reseed(c.seed) for c in configs if c.seed != first.seed}
    texts = make_texts(first, backbone, task, workdir)
    return [
        _assemble(config, mesh, backbone, tasks[config.seed], params, *texts)
        for config, params in zip(configs, drawn, strict=True)
    ]


def _check_shared(task: data.TaskData) -> None:
    """Refuses processes that do not read the same data."""
    known = json.dumps(record_lib.describe(record_lib.task_classes(task), task.contents))
    number = checksum(known.encode()) >> 1
    if distributed.least(number, -number) != (number, -number):
        raise UserError(
            f"the processes read different data of {task.task.name}: give all the same "
            "--config.task.data_dir, on a disk that they share or with the same files"
        )


def init_prompt(config: ConfigDict, backbone: Backbone) -> Any:
    """The initial parameters of the prompt; it has none where it does not train.

    Raises:
      UserError: the prompt does not fit the backbone's images.
    """
    image_shape = (backbone.image_size, backbone.image_size, 3)
    init_key, _ = jax.random.split(jax.random.key(config.seed))
    return acting_prompt(config).init(init_key, image_shape)


def _assemble(
    config: ConfigDict,
    mesh: Mesh,
    backbone: Backbone,
    task: data.TaskData,
    prompt_params: Any,
    texts: Features,
    text_origin: dict[str, str],
) -> Experiment:
    prompt = acting_prompt(config)
    init_key, run_key = jax.random.split(jax.random.key(config.seed))
    count = max(len(task.train), 1)  # Some tasks can only be tested on.
    steps_per_epoch = data.steps_per_epoch(count, config.batch_size)
    by_steps = config.tune and not is_probe(config)
    total_steps = steps_per_epoch * config.epochs if by_steps else 0
    schedules = make_schedules(config, total_steps) if by_steps else {}

    head_key = jax.random.fold_in(init_key, HEAD_STREAM)
    head = make_head(config, backbone, task.class_names, head_key, texts, text_origin, task.classes)
    takes = head.head.takes
    whole = make_outputs(backbone, prompt, takes, resized=task.resized)
    parts: Parts = {
        "backbone": backbone.image_params(takes),
        "head": head.params,
        "prompt": prompt_params,
    }
    if starts_from_text(config, backbone) and by_steps:
        head = dataclasses.replace(head, params=per_unit_of_length(parts, whole, task.train))
        parts["head"] = head.params
    changing = {*config.tune, *(() if head.head.trainable else ("head",))}
    initial = {part: x for part, x in parts.items() if part in changing}
    frozen = {part: x for part, x in parts.items() if part not in {*changing, "prompt"}}

    outputs = gather_on_use(whole, mesh)
    augment = make_augment(config)
    train_outputs = make_outputs(backbone, prompt, takes, augment, task.resized)
    train_outputs = gather_on_use(train_outputs, mesh)
    tally = counting = None
    if head.head.fit is not None:
        tally = Tally(outputs, head.head, len(backbone.source_classes), len(task.class_names))
        if head.head.refit == "epoch" and not config.head.second_pass:
            counting = tally._replace(outputs=train_outputs)
    return Experiment(
        tune=tuple(config.tune),
        seed=config.seed,
        loop=loop_settings(config),
        mesh=mesh,
        backbone=backbone,
        task=task,
        prompt=prompt,
        head=head,
        outputs=outputs,
        forward=make_forward(outputs, head.head),
        train_forward=make_forward(train_outputs, head.head),
        augment=augment,
        mixing=make_mixing(config, seen_rule(backbone, prompt).image_size),
        tally=tally,
        counting=counting,
        frozen=frozen,
        initial=initial,
        rates=learning_rates(config) if by_steps else {},
        make_optimizer=peak_to_optimizer(config, total_steps),
        schedules=schedules,
        solver=config.head.solver,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        key=run_key,
        advice=make_advice(config, total_steps),
        identity={
            "backbone": backbone.fingerprint,
            "task": f"{config.task.name}, {len(task.class_names)} classes",
            "head": config.head.name,
            "prompt": str(prompt) if "prompt" in config.tune else None,
            "tune": sorted(config.tune),
        },
    )


def load_backbone(config: ConfigDict) -> Backbone:
    """The model of `config.backbone`.

    Raises:
      UserError: its weights are missing, damaged or another model's.
    """
    settings = config.backbone
    backbone = backbones.load(
        settings.name,
        settings.weights,
        dtype=None if settings.dtype == "float32" else jnp.dtype(settings.dtype),
        remat=settings.remat,
        source=settings.source,
    )
    if settings.sharding == "replicated":
        return backbone
    params = jax.device_get(backbone.params)  # so that no device keeps the whole of it
    return dataclasses.replace(backbone, params=params)


def per_unit_of_length(parts: Parts, outputs: Forward, split: data.Split) -> dict[str, Any]:
    """A head's parameters with its kernel `[D, K]` divided by the mean length of features.

    A kernel made of text features then gives logits of the size of a CLIP's, whose features have
    unit length. The mean is over the first `SAMPLE` images of the split, unprompted.
    """
    unprompted = {"backbone": parts["backbone"]}
    features = jax.jit(outputs)(unprompted, split.unprompted().images[:SAMPLE])
    length = float(np.linalg.norm(np.asarray(features), axis=-1).mean())
    return {**parts["head"], "kernel": parts["head"]["kernel"] / np.float32(length)}


def load_task(
    config: ConfigDict, backbone: Backbone, classes: Classes | None = None
) -> data.TaskData:
    """The data of `config.task`, resized for the backbone where they are not small.

    Args:
      config: all settings.
      backbone: whose images they become.
      classes: those that a run has trained on, in its order.

    Raises:
      UserError: they are missing, damaged, have other classes, or leave nothing to validate on.
    """
    task = data.load_task(
        config.task.name,
        resize=seen_rule(backbone, acting_prompt(config)),
        whole=resize_rule(backbone),
        val_fraction=config.task.val_fraction,
        test_fraction=config.task.test_fraction,
        seed=config.seed,
        data_dir=config.task.data_dir,
        class_names=class_names_setting(config.task.class_names),
        skip_corrupt=config.task.skip_corrupt,
        download=config.task.download and distributed.count() == 1,  # not several into one folder
        splits=config.task.splits,
        shots=config.task.shots,
        pipeline=config.task.pipeline,
        resident_limit=resident_limit(),
        cache_dir=config.task.cache_dir or cache.folder_for(config.task.pipeline),
        classes=classes,
    )
    if config.tune and config.select_on == "val" and not len(task.val):
        raise UserError(
            f"no validation example: {config.task.val_fraction} of the {len(task.train)} training "
            f"examples of {config.task.name} is none; raise --config.task.val_fraction"
        )
    return task


def class_names_setting(value: Any) -> Any:
    """`config.task.class_names`: none, names, or, as a single text, the path of a file."""
    value = tuple(value)
    if len(value) == 1 and pathlib.Path(value[0]).suffix == ".txt":
        return value[0]
    return value or None
