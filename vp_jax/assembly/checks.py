"""Refuses settings that cannot work, before anything is loaded."""

from __future__ import annotations

import math
import operator

from ml_collections import ConfigDict

from vp_jax import backbones, data, heads
from vp_jax.assembly.head import FITTED, OF_FEATURES, is_probe
from vp_jax.assembly.parts import TUNABLE, make_optimizer, make_schedules
from vp_jax.assembly.prompt import check_prompt
from vp_jax.backbones import Backbone
from vp_jax.config import default
from vp_jax.data import augment
from vp_jax.errors import UserError, unknown

SELECT_ON = ("val", "test")
SOLVERS = ("auto", "sklearn", "optax", "sgd")
INITS = ("auto", "text", "random")
TRAINABLE_HEADS = ("text", "linear", "fully_connected")
RANDOM_HEADS = ("linear", "fully_connected")  # before they are trained
MIXES = ("mixup", "cutmix")
DTYPES = ("float32", "bfloat16")
SHARDINGS = ("replicated", "fsdp")


def check(config: ConfigDict, backbone: Backbone | None = None) -> None:
    """Refuses settings that cannot work.

    Args:
      config: all settings.
      backbone: one of the user's own, instead of `config.backbone`.

    Raises:
      UserError: names the setting, its value and what is valid.
    """
    _check_values(config, default())
    _check_texts(config)
    for part in config.tune:
        if part not in TUNABLE:
            raise unknown("part in config.tune", part, TUNABLE)
    if len(set(config.tune)) < len(config.tune):
        raise UserError(f"config.tune is {tuple(config.tune)}: it names a part twice")
    for setting, value, valid in (
        ("head", config.head.name, heads.names()),
        ("value of config.head.solver", config.head.solver, SOLVERS),
        ("value of config.head.init", config.head.init, INITS),
        ("value of config.select_on", config.select_on, SELECT_ON),
        ("value of config.backbone.source", config.backbone.source, backbones.SOURCES),
        ("value of config.backbone.dtype", config.backbone.dtype, DTYPES),
        ("value of config.backbone.remat", config.backbone.remat, backbones.REMATS),
        ("value of config.backbone.sharding", config.backbone.sharding, SHARDINGS),
        ("value of config.task.pipeline", config.task.pipeline, ("auto", *data.PIPELINES)),
    ):
        if value not in valid:
            raise unknown(setting, value, valid)
    _check_backbone(config, backbone)
    _check_sharding(config)
    task = data.tasks.with_splits(data.tasks.get(config.task.name), config.task.splits)
    if task.train is None and config.tune:
        raise UserError(
            f"the task {task.name!r} has no training images, so it can only be tested on: give "
            '--config.tune="()"'
        )
    _check_numbers(config)
    _check_head(config)
    make_optimizer(config, make_schedules(config, total_steps=1))
    check_prompt(config)
    make_augment(config)
    make_mixing(config, image_size=1)
    for template in config.head.templates:
        heads.class_texts((), template)


def make_augment(config: ConfigDict) -> augment.Augment | None:
    """The augmentation of single images of `config.augment`, or None where there is none."""
    settings = config.augment.to_dict()
    return augment.make_augment(**{k: v for k, v in settings.items() if k not in MIXES})


def make_mixing(config: ConfigDict, image_size: int) -> augment.Mixing | None:
    """Mixup and CutMix of `config.augment`, or None where both are off."""
    return augment.make_mixing(config.augment.mixup, config.augment.cutmix, image_size)


def _check_values(config: ConfigDict, usual: ConfigDict, prefix: str = "config") -> None:
    """Refuses settings without a value, which a ConfigDict lets anybody write into any of them."""
    for key, value in usual.items():
        if isinstance(value, ConfigDict):
            _check_values(config[key], value, f"{prefix}.{key}")
        elif value is not None and config[key] is None:
            raise UserError(f"{prefix}.{key} is None; give it a value, such as {value!r}")


def _check_texts(config: ConfigDict) -> None:
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
    if not config.head.templates:
        raise UserError(
            "config.head.templates is empty; give one or more texts with a place for the class "
            "name, as in --config.head.templates=\"('{}', 'a photo of a {}')\""
        )


def _check_backbone(config: ConfigDict, backbone: Backbone | None) -> None:
    name, head = config.backbone.name, config.head.name
    if backbone is not None:
        name = backbone.name
        has_texts = backbone.encode_text is not None
        has_classes = not has_texts or backbone.classify is not None
        for setting, usual in (("dtype", "float32"), ("remat", "none")):
            if config.backbone[setting] != usual:
                raise UserError(
                    f"config.backbone.{setting} is {config.backbone[setting]!r}, but the backbone "
                    f"{name} is your own: choose it in its own function, and leave the setting out"
                )
    elif name in backbones.names():
        has_texts = backbones.is_clip(name)
        has_classes = not has_texts
    else:
        raise UserError(
            f"{unknown('backbone', name, backbones.names())}; one of your own is given in Python: "
            "backbone=backbones.from_fn(...) of runs.train and runs.evaluate"
        )
    if head == "text" and not has_texts:
        fitting = [n for n in heads.names() if n != "text"]
        raise UserError(
            f"the head 'text' needs a CLIP, and {name} has no text tower; give "
            f"--config.head.name={fitting[0]}, or one of {', '.join(fitting[1:])}"
        )
    if head not in OF_FEATURES and not has_classes:
        raise UserError(
            f"the head {head!r} maps source classes, and {name}, a CLIP, has none; give "
            f"--config.head.name={' or '.join(OF_FEATURES)}, or a classifier as the backbone"
        )
    if backbone is not None:
        check_loaded(config, backbone)


def check_loaded(config: ConfigDict, backbone: Backbone) -> None:
    """Refuses a head that maps source classes where the weights of a classifier know none.

    Raises:
      UserError: their last layer is missing or of other classes, see `backbones.load`.
    """
    if config.head.name not in OF_FEATURES and backbone.classify is None:
        raise UserError(
            f"the head {config.head.name!r} maps source classes, and these weights of "
            f"{backbone.name} have no last layer of its classes; give --config.head.name=linear, "
            "other weights, or, in Python, the names of the classes that they have: "
            "backbones.load(..., source_classes=NAMES)"
        )


def _check_sharding(config: ConfigDict) -> None:
    if config.backbone.sharding == "replicated" and config.backbone.shards > 1:
        raise UserError(
            f"config.backbone.shards is {config.backbone.shards}, but the backbone is replicated: "
            "give --config.backbone.sharding=fsdp too, or leave shards out"
        )
    if config.backbone.sharding == "fsdp" and "backbone" in config.tune:
        raise UserError(
            "config.backbone.sharding is 'fsdp', which is for a frozen backbone, and config.tune "
            "has 'backbone'; leave one of the two out"
        )


def _check_numbers(config: ConfigDict) -> None:
    for name, least in (
        ("batch_size", 1),
        ("epochs", 0 if not config.tune else 1),
        ("eval_every_epochs", 1),
        ("log_every_steps", 1),
        ("checkpoint_every_steps", 0),
        ("patience", 0),
        ("backbone.shards", 0),
        ("task.shots", 0),
        ("task.workers", 0),
        ("seed", 0),
    ):
        value = operator.attrgetter(name)(config)
        if value < least:
            raise UserError(f"config.{name} is {value}; it must be at least {least}")
    if config.seed >= 2**32:
        raise UserError(f"config.seed is {config.seed}; it must be below 2**32")
    for name in ("val_fraction", "test_fraction"):
        if not 0 <= config.task[name] < 1:
            raise UserError(f"config.task.{name} is {config.task[name]}; it must be in [0, 1)")
    if config.tune and config.select_on == "val" and config.task.val_fraction == 0:
        raise UserError(
            "config.task.val_fraction is 0, so there is nothing to choose the best epoch by; give "
            "a positive fraction, or take the paper's way with --config.select_on=test"
        )
    if not config.call_seconds > 0:
        raise UserError(f"config.call_seconds is {config.call_seconds}; it must be positive")
    rates = {"learning_rate": config.optimizer.learning_rate}
    special = config.optimizer.learning_rates
    rates |= {f"learning_rates.{p}": special[p] for p in TUNABLE if special[p] is not None}
    for name, rate in rates.items():
        if not 0 < rate < math.inf:
            raise UserError(f"config.optimizer.{name} is {rate}; it must be positive and finite")


def _check_head(config: ConfigDict) -> None:
    name, tune = config.head.name, config.tune
    if "head" in tune and name not in TRAINABLE_HEADS:
        how = "refitted by counting" if name in FITTED else "fixed"
        raise UserError(
            f"config.tune has 'head', but the head {name!r} is {how}, not trained by gradients; "
            f"leave 'head' out, or give --config.head.name={' or '.join(TRAINABLE_HEADS)}"
        )
    if name in RANDOM_HEADS and "head" not in tune and config.head.from_run is None:
        raise UserError(
            f"the head {name!r} would keep its random initial values; add 'head' to config.tune, "
            "or name a run that has trained one with --config.head.from_run=WORKDIR"
        )
    if config.head.from_run is not None and name not in TRAINABLE_HEADS:
        raise UserError(
            f"config.head.from_run names a run, but the head {name!r} has nothing that is trained; "
            f"give --config.head.name={' or '.join(TRAINABLE_HEADS)}"
        )
    if is_probe(config):
        for setting, given in (
            ("head.from_run", config.head.from_run is not None),
            ("augment", make_augment(config) is not None),
            *((f"augment.{mix}", config.augment[mix] > 0) for mix in MIXES),
        ):
            if given:
                raise UserError(
                    f"config.{setting} has no meaning for a linear probe, which is solved on "
                    "cached features; train its layer by steps with --config.head.solver=sgd"
                )
    if name == "fixed" and not config.head.table:
        raise UserError(
            "the head 'fixed' needs --config.head.table: a source class, by name or number, for "
            "each class, as in \"('tabby', 207)\", or the path of a mapping.csv"
        )
    mixes = [mix for mix in MIXES if config.augment[mix] > 0]
    counts = name in FITTED and heads.by_name(name).refit == "epoch"
    if mixes and counts and not config.head.second_pass:
        raise UserError(
            f"config.augment.{mixes[0]} mixes images of two classes, and the head {name!r} counts "
            f"the class of each as it trains; turn {' and '.join(mixes)} off, or let it count "
            "unmixed images before an epoch with --config.head.second_pass=True"
        )
    if name.startswith("bayesian"):
        settings = {"smoothing": config.head.smoothing}
        if name == "bayesian_plus":
            settings["top_share"] = config.head.top_share
        heads.by_name(name, **settings)
