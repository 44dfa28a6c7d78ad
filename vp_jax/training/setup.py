"""From settings to everything that a run needs: backbone, data, prompt, head and optimiser."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax
from ml_collections import ConfigDict
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from vp_jax import backbones, data, heads, prompts
from vp_jax.backbones import Backbone
from vp_jax.data.preprocess import ResizeRule
from vp_jax.errors import UserError, unknown
from vp_jax.prompts.checks import SPACES
from vp_jax.training import optimizers, schedules
from vp_jax.training.forward import Forward, Parts, make_forward
from vp_jax.training.workdir import TEXT_FEATURES

TUNABLE = ("prompt",)
HEADS = ("text",)
SELECT_ON = ("val", "test")


@dataclasses.dataclass(frozen=True, eq=False)
class Experiment:
    """All parts of a run, before the first step.

    Attributes:
      config: the settings it was made from.
      backbone: with its parameters.
      task: class names and splits.
      prompt: what acts on the images.
      forward: from parts and images to logits.
      frozen: parameters of the parts that do not train.
      tuned: initial parameters of those that do.
      optimizer, schedule: of the tuned parts.
      steps_per_epoch, total_steps: of the whole run.
      key: random key of training and evaluation.
      text_origin: what the text features were made from.
      identity: what a checkpoint must agree with to belong to this run.
    """

    config: ConfigDict
    backbone: Backbone
    task: data.TaskData
    prompt: prompts.Prompt
    forward: Forward
    frozen: Parts
    tuned: Parts
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    steps_per_epoch: int
    total_steps: int
    key: jax.Array
    text_origin: dict[str, str]
    identity: dict[str, Any]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of one image as the prompt and the backbone see it."""
        return (self.backbone.image_size, self.backbone.image_size, 3)


def check(config: ConfigDict) -> None:
    """Refuses settings that cannot work, before anything is loaded.

    Raises:
      UserError: names the setting, its value and what is valid.
    """
    for name, values in (
        ("tune", config.tune),
        ("head.templates", config.head.templates),
        ("task.class_names", config.task.class_names),
    ):
        if not all(isinstance(value, str) for value in values):
            raise UserError(
                f"config.{name} is {tuple(values)!r}; it holds texts, as in "
                f"--config.{name}=\"('one', 'two')\""
            )
    for part in config.tune:
        if part not in TUNABLE:
            raise unknown("part in config.tune", part, TUNABLE)
    for setting, value, valid in (
        ("backbone", config.backbone.name, backbones.names()),
        ("head", config.head.name, HEADS),
        ("value of config.prompt.space", config.prompt.space, SPACES),
        ("value of config.select_on", config.select_on, SELECT_ON),
    ):
        if value not in valid:
            raise unknown(setting, value, valid)
    data.tasks.get(config.task.name)
    for name, least in (
        ("batch_size", 1),
        ("epochs", 0 if not config.tune else 1),
        ("eval_every_epochs", 1),
        ("log_every_steps", 1),
        ("checkpoint_every_steps", 0),
        ("patience", 0),
        ("seed", 0),
    ):
        if config[name] < least:
            raise UserError(f"config.{name} is {config[name]}; it must be at least {least}")
    if config.seed >= 2**32:
        raise UserError(f"config.seed is {config.seed}; it must be below 2**32")
    if not 0 <= config.task.val_fraction < 1:
        raise UserError(
            f"config.task.val_fraction is {config.task.val_fraction}; it must be in [0, 1)"
        )
    if config.tune and config.select_on == "val" and config.task.val_fraction == 0:
        raise UserError(
            "config.task.val_fraction is 0, so there is nothing to choose the best epoch by; give "
            "a positive fraction, or take the paper's way with --config.select_on=test"
        )
    if not 0 < config.optimizer.learning_rate < math.inf:
        raise UserError(
            f"config.optimizer.learning_rate is {config.optimizer.learning_rate}; "
            "it must be positive and finite"
        )
    make_optimizer(config, total_steps=1)
    make_prompt(config)
    if not config.head.templates:
        raise UserError(
            "config.head.templates is empty; give one or more texts with a place for the class "
            "name, as in --config.head.templates=\"('{}', 'a photo of a {}')\""
        )
    for template in config.head.templates:
        heads.class_texts((), template)


def make_prompt(config: ConfigDict) -> prompts.Prompt:
    """The prompt of `config.prompt`; `top` and `left` of 0 are left to the patch that has them."""
    settings = config.prompt.to_dict()
    name = settings.pop("name")
    for key in ("top", "left"):
        if name != "fixed_patch" and settings[key] == 0:
            del settings[key]
    return prompts.by_name(name, **settings)


def make_optimizer(
    config: ConfigDict, total_steps: int
) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The optimiser of `config.optimizer` with the schedule of `config.schedule`."""
    schedule = schedules.by_name(
        config.schedule.name,
        config.optimizer.learning_rate,
        config.schedule.warmup_steps,
        total_steps,
    )
    optimizer = optimizers.by_name(
        config.optimizer.name,
        schedule,
        momentum=config.optimizer.momentum,
        weight_decay=config.optimizer.weight_decay,
        settings=config.optimizer.settings.to_dict(),
    )
    return optimizer, schedule


def setup(config: ConfigDict, workdir: pathlib.Path) -> Experiment:
    """Loads and makes all parts of a run. Writes nothing.

    Args:
      config: all settings.
      workdir: where the text features are read from if the run has stored them.

    Raises:
      UserError: something is missing, damaged or does not fit; says what, where, what to do.
    """
    check(config)
    prompt = make_prompt(config)
    weights = config.backbone.weights
    backbone = backbones.load(config.backbone.name, weights)
    image_shape = (backbone.image_size, backbone.image_size, 3)
    init_key, run_key = jax.random.split(jax.random.key(config.seed))
    prompt_params = prompt.init(init_key, image_shape)

    task = data.load_task(
        config.task.name,
        resize=ResizeRule(backbone.image_size, backbone.resize_size, backbone.resize_method),
        val_fraction=config.task.val_fraction,
        seed=config.seed,
        data_dir=config.task.data_dir,
        class_names=class_names_setting(config.task.class_names),
        skip_corrupt=config.task.skip_corrupt,
        download=config.task.download,
    )
    if config.tune and config.select_on == "val" and not len(task.val):
        raise UserError(
            f"no validation example: {config.task.val_fraction} of the {len(task.train)} training "
            f"examples of {config.task.name} is none; raise --config.task.val_fraction"
        )
    steps_per_epoch = data.steps_per_epoch(len(task.train), config.batch_size)
    total_steps = steps_per_epoch * config.epochs if config.tune else 0
    optimizer, schedule = make_optimizer(config, total_steps)

    templates = config.head.templates
    texts = [heads.class_texts(task.class_names, template) for template in templates]
    origin = {"backbone": backbone.fingerprint, "texts": repr(texts)}
    text = load_text_features(workdir / TEXT_FEATURES, origin)
    if text is None:
        text = compute_text_features(backbone, task.class_names, templates)
    parts: Parts = {
        "backbone": {"visual": backbone.params["visual"]},
        "head": {"text_features": text, "logit_scale": np.float32(backbone.logit_scale)},
    }
    tuned = {"prompt": prompt_params} if "prompt" in config.tune else {}
    shapes = jax.tree.map(lambda x: list(x.shape), tuned)
    return Experiment(
        config=config,
        backbone=backbone,
        task=task,
        prompt=prompt,
        forward=make_forward(backbone, prompt, config.prompt.space, heads.text_head),
        frozen=parts,
        tuned=tuned,
        optimizer=optimizer,
        schedule=schedule,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        key=run_key,
        text_origin=origin,
        identity={
            "backbone": backbone.fingerprint,
            "task": f"{config.task.name}, {len(task.class_names)} classes",
            "prompt": f"{config.prompt.name}, {shapes.get('prompt')}",
            "tune": list(config.tune),
        },
    )


def class_names_setting(value: Any) -> Any:
    """`config.task.class_names`: none, names, or, as a single text, the path of a file."""
    value = tuple(value)
    if len(value) == 1 and pathlib.Path(value[0]).suffix == ".txt":
        return value[0]
    return value or None


def compute_text_features(
    backbone: Backbone, class_names: Sequence[str], templates: Sequence[str]
) -> np.ndarray:
    """The classes' text features, `[K, D]` float32 of unit length."""
    encode = jax.jit(backbone.encode_text)
    features = heads.text_features(
        lambda tokens: encode(backbone.params, tokens), backbone.tokenizer, class_names, templates
    )
    return np.asarray(features, np.float32)


def load_text_features(path: pathlib.Path, origin: Mapping[str, str]) -> np.ndarray | None:
    """Text features as `store_text_features` left them, or None where there are none.

    Raises:
      UserError: they are of another backbone or other texts, or damaged.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            metadata, features = file.metadata(), file.get_tensor("text_features")
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it and run again") from error
    for key, value in origin.items():
        if metadata.get(key) != value:
            raise UserError(
                f"{path} belongs to another run: its {key} is {metadata.get(key)} there and "
                f"{value} here. Give another --workdir"
            )
    return features


def store_text_features(experiment: Experiment, workdir: pathlib.Path) -> None:
    """Keeps the text features in the run, so that the text tower never runs for it again."""
    path = workdir / TEXT_FEATURES
    if not path.exists():
        features = {"text_features": experiment.frozen["head"]["text_features"]}
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(save(features, metadata=experiment.text_origin))
        partial.replace(path)
