"""A run made of parts in Python, without settings: backbone, task, prompt, head and optimiser."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vp_jax import data, heads, jaxprs, prompts
from vp_jax.assembly.check_run import check_loop, check_penalties, check_seed, check_tune
from vp_jax.assembly.compose import NOTHING_LEARNS, Optimization, compose, keys_of
from vp_jax.assembly.parts.prompt import check_needs
from vp_jax.backbones import Backbone
from vp_jax.backbones.weights.fingerprint import fingerprint
from vp_jax.data.augment import Augment, Mixing
from vp_jax.errors import UserError, brief
from vp_jax.prompts.base import Prompt
from vp_jax.records.names import MADE_IN
from vp_jax.step.forward import Parts, resize_rule, seen_rule
from vp_jax.step.sharding import check_batch_size, make_mesh
from vp_jax.training.experiment import Experiment, HeadOfRun
from vp_jax.training.loop_settings import LoopSettings

PROGRAMS = "programs"
"""Among what is kept of a run that was made of parts."""


def load_task(
    task: data.Task | str, backbone: Backbone, prompt: Prompt | None = None, **more: Any
) -> data.TaskData:
    """`data.load_task` with images in the size that a backbone takes behind a prompt.

    Args:
      task: a task, or the name of a registered one.
      backbone: whose images they become.
      prompt: what acts on them, if anything does.
      **more: further arguments of `data.load_task`.

    Raises:
      UserError: as `data.load_task`.
    """
    acting = prompts.with_normalize(prompt or prompts.chain())
    seen, whole = seen_rule(backbone, acting), resize_rule(backbone)
    return data.load_task(task, resize=seen, whole=whole, **more)


def experiment(
    *,
    backbone: Backbone,
    task: data.TaskData,
    head: heads.Head,
    loop: LoopSettings,
    prompt: Prompt | None = None,
    optimizer: optax.GradientTransformation | None = None,
    tune: tuple[str, ...] = ("prompt",),
    seed: int = 0,
    augment: Augment | None = None,
    mixing: Mixing | None = None,
    schedule: optax.Schedule | None = None,
    penalties: Mapping[str, float] | None = None,
) -> Experiment:
    """All parts of a run, for `runs.train`.

    Args:
      backbone: as `backbones.load` or `backbones.from_fn` makes it.
      task: class names and splits, as `load_task` makes them for this backbone and prompt.
      head: of `heads`, or one of your own; its parameters begin as its `init` makes them.
      loop: epochs, batch size, and when to evaluate, write and save.
      prompt: a design of `prompts`, a chain of several, or one of your own. Without `normalize`
        among its stages that comes last.
      optimizer: of `{part: parameters}` for all parts that train, learning rate and schedule
        included; `optax.partition` gives each part its own.
      tune: the parts that train, of prompt, head and backbone; none for the model as it is.
      seed: of everything random, but for the splits of `task`.
      augment: `(rng, images) -> images`, of training images in [0, 1], `[B, S, S, 3]`.
      mixing: of training images and their labels, as `data.augment.make_mixing` makes it.
      schedule: the learning rate by step, to be written down beside the loss.
      penalties: weights of what is added to the loss, by names of `vp_jax.step.penalties`.

    Raises:
      UserError: parts are missing or do not fit each other; says which and what to do.
    """
    tune = tuple(tune)
    check_tune(tune)
    check_loop(loop, tune)
    check_seed(seed)
    penalties = {name: weight for name, weight in (penalties or {}).items() if weight}
    check_penalties(penalties, tune)
    mesh = make_mesh()
    check_batch_size(loop.batch_size, mesh)
    acting = _acting(prompt, tune)
    if "prompt" in tune:
        check_needs(acting, tune, augment is not None, mixing is not None)
    _check_task(task, loop, tune)
    keys, side = keys_of(seed), backbone.image_size
    optimization = NOTHING_LEARNS
    if tune:
        if optimizer is None:
            raise UserError(f"tune is {tune}, but there is no optimizer: give one of optax")
        schedules = {} if schedule is None else dict.fromkeys(tune, schedule)
        optimization = Optimization(lambda rates: optimizer, schedules=schedules)
    of_run = _head_of_run(head, backbone, task, tune, keys.head)
    made = compose(
        backbone=backbone,
        task=task,
        prompt=acting,
        prompt_params=acting.init(keys.prompt, (side, side, 3)),
        head=of_run,
        tune=tune,
        seed=seed,
        loop=loop,
        mesh=mesh,
        optimization=optimization,
        augment=augment,
        mixing=mixing,
        penalties=penalties,
        more_identity={"head": fingerprint(head.name, of_run.params)},
    )
    _check_optimizer(made)
    return made


def describe(made: Experiment) -> dict[str, Any]:
    """What is known of a run of parts instead of its settings, under their names, as JSON.

    Functions are known by the programs that JAX traces of them, which are compared between starts
    with the same version of JAX only.
    """
    loop = dataclasses.asdict(made.loop)
    of_task = {name: loop.pop(name) for name in ("workers", "accept_changed_data")}
    return {
        MADE_IN: "Python",
        "seed": made.seed,
        "tune": list(made.tune),
        "backbone": {"name": made.backbone.name},
        "prompt": str(made.prompt),
        "head": {"name": made.head.name},
        **({"penalties": dict(made.penalties)} if made.penalties else {}),
        "task": {"name": made.task.task.name, **of_task},
        **loop,
        "parts": {"backbone": made.identity["backbone"], "head": made.identity["head"]},
        PROGRAMS: {"jax": jax.__version__, **_programs(made)},
    }


def comparable(there: Mapping[str, Any], here: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is kept of a run, without programs of another version of JAX."""
    if MADE_IN in there:  # and perhaps by a version that had fewer settings
        fields = {f.name: f.default for f in dataclasses.fields(LoopSettings) if f.name in here}
        known = {name: x for name, x in fields.items() if x is not dataclasses.MISSING}
        there = {**known, **there}
    if there.get(PROGRAMS, {}).get("jax") == here[PROGRAMS]["jax"]:
        return there
    return {**there, PROGRAMS: here[PROGRAMS]} if MADE_IN in there else there


def _programs(made: Experiment) -> dict[str, str]:
    """Digests of what the parts compute from parameters and a batch of images, and of an update."""
    side = seen_rule(made.backbone, made.prompt).image_size
    images = jax.ShapeDtypeStruct((2, side, side, 3), jnp.uint8)
    parts = _shapes({**made.frozen, **made.initial})
    tuned = _shapes(made.tuned)

    def logits(parts: Parts, images: jax.Array, key: jax.Array) -> jax.Array:
        return made.train_forward(parts, images, rng=key)

    def update(grads: Parts, params: Parts) -> Any:
        return made.optimizer.update(grads, made.optimizer.init(params), params)

    return {
        "model": jaxprs.digest(logits, parts, images, made.key),
        "optimizer": jaxprs.digest(update, tuned, tuned),
    }


def _shapes(tree: Any) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x)), tree)


def _acting(prompt: Prompt | None, tune: tuple[str, ...]) -> prompts.Chain:
    """The prompt that acts on images: only one that trains does."""
    if "prompt" not in tune:
        return prompts.with_normalize(prompts.chain())
    acting = prompts.with_normalize(prompts.chain() if prompt is None else prompt)
    if not acting.has_parameters:
        raise UserError(
            f"tune has 'prompt', but the prompt {acting} has no parameters: give one that has, as "
            "in prompt=prompts.pad(30)"
        )
    return acting


def _check_task(task: data.TaskData, loop: LoopSettings, tune: tuple[str, ...]) -> None:
    if tune and not len(task.train):
        raise UserError(f"{task.task.name} has nothing to train on: give tune=()")
    if tune and not len(getattr(task, loop.select_on)):
        raise UserError(
            f"{task.task.name} has no {loop.select_on} example to choose the best epoch by"
        )
    if loop.calibrates and not len(task.val):
        raise UserError(f"{task.task.name} has no val example to fit a temperature to")


def _head_of_run(
    head: heads.Head,
    backbone: Backbone,
    task: data.TaskData,
    tune: tuple[str, ...],
    key: jax.Array,
) -> HeadOfRun:
    if head.takes == "logits" and backbone.classify is None:
        raise UserError(
            f"the head {head.name!r} maps source classes, and {backbone.name} has none: give a "
            "head of features, such as heads.linear(), or a classifier"
        )
    if "head" in tune and not head.trainable:
        raise UserError(
            f"tune has 'head', but gradients do not train the head {head.name!r}: leave it out"
        )
    inputs = backbone.embed_dim if head.takes == "features" else len(backbone.source_classes)
    params = jax.device_get(head.init(key, inputs, len(task.class_names)))
    meaningful = "head" not in tune or head.name == "text" or bool(head.own)
    return HeadOfRun(head, params, meaningful, {}, {})


def _check_optimizer(made: Experiment) -> None:
    """Refuses an optimiser that cannot make a step of the parts that train."""
    if not made.tune:
        return
    tuned = made.tuned
    try:
        state = jax.eval_shape(made.optimizer.init, tuned)
        jax.eval_shape(made.optimizer.update, tuned, state, tuned)
    except Exception as error:  # whatever somebody's own function raises
        raise UserError(
            f"the optimizer fails on the parts {' and '.join(tuned)}: it needs "
            "update(gradients, state, parameters), each {part: arrays}, as those of optax have it; "
            f"{brief(error)}"
        ) from error
