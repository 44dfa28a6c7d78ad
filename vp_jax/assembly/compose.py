"""From the parts of a run to what its loop takes: no settings are read here, and nothing loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from vp_jax import data, heads, prompts
from vp_jax.backbones import Backbone
from vp_jax.data.augment import Augment, Mixing
from vp_jax.errors import UserError
from vp_jax.step.forward import Forward, Parts, make_forward, make_outputs
from vp_jax.step.fsdp import gather_on_use
from vp_jax.step.penalties import MARGINS
from vp_jax.step.tally import Tally
from vp_jax.training.experiment import Advice, Experiment, HeadOfRun, MakeOptimizer
from vp_jax.training.fitting.centroids import none_yet
from vp_jax.training.loop_settings import LoopSettings

HEAD_STREAM = 1
"""Of the key by which a run begins, which draws the prompt."""
SAMPLE = 32  # images


class Keys(NamedTuple):
    """The random keys of a run.

    Attributes:
      prompt: draws the prompt before training.
      head: draws the head.
      run: for training and evaluation.
    """

    prompt: jax.Array
    head: jax.Array
    run: jax.Array


def keys_of(seed: int) -> Keys:
    """All keys of a run come from its seed."""
    init, run = jax.random.split(jax.random.key(seed))
    return Keys(init, jax.random.fold_in(init, HEAD_STREAM), run)


class Optimization(NamedTuple):
    """How the tuned parts learn.

    Attributes:
      make_optimizer: from peak learning rates by part to the optimiser of all tuned parts.
      rates: such peaks; empty for an optimiser that has its own.
      schedules: the learning rates by part, to be written down; empty where nobody says.
    """

    make_optimizer: MakeOptimizer
    rates: Mapping[str, float] = {}
    schedules: Mapping[str, optax.Schedule] = {}


NO_ADVICE = Advice()
NOTHING_LEARNS = Optimization(lambda rates: optax.identity())


def mapped_parts(head: heads.Head) -> tuple[str, ...]:
    """The part that has an output mapping, which changes though gradients do not train it."""
    if head.takes != "logits" or (head.trainable and not head.own):
        return ()
    return ("base",) if head.own else ("head",)


def steps_per_epoch(task: data.TaskData, loop: LoopSettings) -> int:
    """Steps that an epoch has; 1 for tasks that can only be tested on."""
    return data.steps_per_epoch(max(len(task.train), 1), loop.batch_size)


def compose(
    *,
    backbone: Backbone,
    task: data.TaskData,
    prompt: prompts.Chain,
    prompt_params: Any,
    head: HeadOfRun,
    tune: tuple[str, ...],
    seed: int,
    loop: LoopSettings,
    mesh: Mesh,
    optimization: Optimization = NOTHING_LEARNS,
    solver: str | None = None,
    augment: Augment | None = None,
    mixing: Mixing | None = None,
    second_pass: bool = False,
    advice: Advice = NO_ADVICE,
    more_identity: Mapping[str, Any] = {},
    penalties: Mapping[str, float] = {},
) -> Experiment:
    """All that the loop of a run takes, made of its parts.

    Args:
      prompt: with `normalize` among its stages.
      prompt_params: at the start; of no array where the prompt does not train.
      solver: of a linear probe that is solved on features; None where `tune` trains by steps.
      second_pass: whether a mapping that is refitted before every epoch counts images anew for
        it; else it counts them as they are trained on.
      more_identity: what a checkpoint must agree with besides backbone, task, head, prompt and
        tuned parts, by name.
      backbone, task, head, tune, seed, loop, mesh, augment, mixing, advice, penalties: as in
        `Experiment`.

    Raises:
      UserError: the images were resized by another rule than that of backbone and prompt, or the
        prompt is for another number of classes.
    """
    takes = head.head.takes
    own, base = heads.split(head.head, head.params)
    parts: Parts = {"backbone": backbone.image_params(takes), "head": own, "prompt": prompt_params}
    if base:
        parts["base"] = base
    if "prompt" in tune:
        check_classes(prompt, task)
        check_margins(prompt, penalties)
        parts |= none_yet(prompt, backbone.embed_dim)
    changing = {*tune, "centroids", *mapped_parts(head.head)}

    def outputs_with(augment: Augment | None) -> Forward:
        return gather_on_use(make_outputs(backbone, prompt, takes, augment, task.resized), mesh)

    outputs, train_outputs = outputs_with(None), outputs_with(augment)
    tally = counting = None
    if head.head.fit is not None:
        classes = len(task.class_names)
        sources = len(backbone.source_classes)
        tally = Tally(outputs, head.head, sources, classes, prompt.combine)
        if head.head.refit == "epoch" and not second_pass:
            counting = tally._replace(outputs=train_outputs)
    by_steps = bool(tune) and solver is None
    per_epoch = steps_per_epoch(task, loop)
    return Experiment(
        tune=tune,
        seed=seed,
        loop=loop,
        mesh=mesh,
        backbone=backbone,
        task=task,
        prompt=prompt,
        head=head,
        outputs=outputs,
        forward=make_forward(outputs, head.head, prompt.combine),
        train_forward=make_forward(train_outputs, head.head, prompt.combine),
        augment=augment,
        mixing=mixing,
        tally=tally,
        counting=counting,
        frozen={part: x for part, x in parts.items() if part not in {*changing, "prompt"}},
        initial={part: x for part, x in parts.items() if part in changing},
        rates=dict(optimization.rates),
        make_optimizer=optimization.make_optimizer,
        schedules=dict(optimization.schedules),
        solver=solver,
        steps_per_epoch=per_epoch,
        total_steps=per_epoch * loop.epochs if by_steps else 0,
        key=keys_of(seed).run,
        identity={
            "backbone": backbone.fingerprint,
            "task": f"{task.task.name}, {len(task.class_names)} classes",
            "head": head.name,
            "prompt": str(prompt) if "prompt" in tune else None,
            "tune": sorted(tune),
            **more_identity,
        },
        advice=advice,
        penalties=dict(penalties),
    )


def check_classes(prompt: prompts.Chain, task: data.TaskData) -> None:
    """Refuses a prompt that is for another number of classes than a task has.

    Raises:
      UserError: names the stage.
    """
    for stage in prompt.stages:
        wanted = stage.formula.classes if isinstance(stage, prompts.Stage) else None
        if wanted not in (None, len(task.class_names)):
            raise UserError(
                f"{stage} is for {wanted} classes, and {task.task.name} has "
                f"{len(task.class_names)}: write as many"
            )


def check_margins(prompt: prompts.Chain, penalties: Mapping[str, float]) -> None:
    """Refuses margins between the prompts of classes where there are none.

    Raises:
      UserError: says what to give.
    """
    stages = [stage for stage in prompt.stages if isinstance(stage, prompts.Stage)]
    if MARGINS in penalties and all(stage.formula.classes is None for stage in stages):
        raise UserError(
            f"the penalty 'margins' is between the prompts of classes, and {prompt} has one for "
            "all: leave it 0, or give a prompt within class_wise"
        )


def in_units_of_length(
    head: HeadOfRun, backbone: Backbone, prompt: prompts.Chain, task: data.TaskData
) -> HeadOfRun:
    """A head with its kernel `[D, K]` divided by the mean length of features.

    A kernel made of text features then gives logits of the size of a CLIP's, whose features have
    unit length. The mean is over the first `SAMPLE` images of the training split, unprompted.
    """
    outputs = make_outputs(backbone, prompt, head.head.takes, resized=task.resized)
    unprompted = {"backbone": backbone.image_params(head.head.takes)}
    features = jax.jit(outputs)(unprompted, task.train.unprompted().images[:SAMPLE])
    length = float(np.linalg.norm(np.asarray(features), axis=-1).mean())
    kernel = head.params["kernel"] / np.float32(length)
    return dataclasses.replace(head, params={**head.params, "kernel": kernel})
