"""The head of a run: from its settings, the backbone and the class names to initial parameters."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict

from vp_jax import backbones, distributed, heads
from vp_jax.assembly.texts import descriptions
from vp_jax.assembly.texts.class_texts import Reader, introduce
from vp_jax.assembly.texts.text_features import (
    DamagedTexts,
    Features,
    compute_text_features,
    describe,
    load_text_features,
)
from vp_jax.backbones import Backbone
from vp_jax.data import TaskData
from vp_jax.data.tasks import classes as classes_lib
from vp_jax.data.tasks.classes import Classes
from vp_jax.errors import UserError
from vp_jax.heads.on_top import NAMES as ON_TOP
from vp_jax.host import files
from vp_jax.records import record as record_lib
from vp_jax.records.finished import load_part
from vp_jax.records.names import TEXT_FEATURES
from vp_jax.training.experiment import HeadOfRun

FITTED = (
    *("frequency", "iterative", "mean_frequency", "mean_iterative"),
    *("bayesian", "bayesian_plus"),
)
OF_FEATURES = ("text", "descriptions", "linear")
OF_TEXTS = ("text", "descriptions")
READ_NAMES = (*OF_TEXTS, "semantic")
"""Heads that are made of the names of the classes."""


def base_name(config: ConfigDict) -> str:
    """The head that makes logits of what the backbone gives: the one that others stand on."""
    return config.head.base if config.head.name in ON_TOP else config.head.name


def restored_head(config: ConfigDict) -> heads.Head:
    """The head of a run whose parameters are there already."""
    return heads.restored(config.head.name, config.head.base)


def is_probe(config: ConfigDict) -> bool:
    """Whether only a linear layer on frozen features trains, by L-BFGS."""
    alone = tuple(config.tune) == ("head",) and config.head.name == "linear"
    return alone and config.head.solver != "sgd"


def make_head(
    config: ConfigDict,
    backbone: Backbone,
    class_names: tuple[str, ...],
    key: jax.Array,
    texts: Features,
    origin: dict[str, str],
    classes: Classes | None = None,
) -> HeadOfRun:
    """Makes the head of `config.head`.

    Args:
      config: all settings, checked.
      backbone: whose output the head reads.
      class_names: of the task.
      key: of random mappings and random layers.
      texts, origin: as `make_texts` returns them.
      classes: what tells the classes from others, if not their names alone.

    Raises:
      UserError: the class count and the head disagree, or the run to take the head from does not
        fit.
    """
    head = _make(config, base_name(config), backbone, class_names, texts)
    if config.head.name in ON_TOP:
        head = heads.by_name(config.head.name, base=head)
    inputs = backbone.embed_dim if head.takes == "features" else len(backbone.source_classes)
    meaningful = config.head.name not in ("linear", "fully_connected")
    params = head.init(key, inputs, len(class_names))
    if starts_from_text(config, backbone):
        params = {**params, "kernel": backbone.logit_scale * texts["text_features"].T}
        meaningful = True
    if config.head.from_run is not None:
        own, base = heads.split(head, params)
        known = classes or Classes(class_names)
        params = {**base, **_from_run(config, backbone, own, known)}
        meaningful = True
    return HeadOfRun(head, jax.device_get(params), meaningful, texts, origin)


def starts_from_text(config: ConfigDict, backbone: Backbone) -> bool:
    """Whether the head is a linear layer that begins as a CLIP's text features.

    Its classes are then those of the zero-shot model, since the length of an image's features does
    not change which of its similarities is the largest.

    Raises:
      UserError: it is to begin so and the backbone has no text tower.
    """
    if config.head.name != "linear" or config.head.from_run is not None:
        return False
    if config.head.init == "text" and backbone.encode_text is None:
        raise UserError(
            f"config.head.init is 'text', and {backbone.name} has no text tower; leave it at 'auto'"
        )
    return config.head.init != "random" and backbone.encode_text is not None


def _make(
    config: ConfigDict,
    name: str,
    backbone: Backbone,
    class_names: tuple[str, ...],
    texts: Features,
) -> heads.Head:
    settings = config.head
    if name == "text":
        return heads.text(texts["text_features"], np.float32(backbone.logit_scale))
    if name == "descriptions":
        scale = np.float32(backbone.logit_scale)
        return descriptions.make_head(texts, scale, settings.best_texts)
    if name == "semantic":
        return heads.semantic(
            texts["source_features"], texts["text_features"], many_to_one=settings.many_to_one
        )
    if name == "fixed":
        table: Sequence[Any] = tuple(settings.table)
        if len(table) == 1 and isinstance(table[0], str) and table[0].endswith(".csv"):
            table = heads.read_table(table[0], backbone.source_classes, class_names)
        return heads.fixed(table, backbone.source_classes)
    arguments = {
        "frequency": {"many_to_one": settings.many_to_one},
        "iterative": {"many_to_one": settings.many_to_one},
        "mean_frequency": {"sources": settings.sources, "many_to_one": settings.many_to_one},
        "mean_iterative": {"sources": settings.sources, "many_to_one": settings.many_to_one},
        "bayesian": {"smoothing": settings.smoothing},
        "bayesian_plus": {"smoothing": settings.smoothing, "top_share": settings.top_share},
    }
    return heads.by_name(name, **arguments.get(name, {}))


def make_texts(
    config: ConfigDict, backbone: Backbone, task: TaskData, workdir: pathlib.Path
) -> tuple[Features, dict[str, str]]:
    """The text features that the head needs, stored in `workdir` or computed, and their origin.

    The classes are introduced as the model reads them.

    Raises:
      UserError: the user has named two classes so that the model cannot tell them apart, or the
        model has no text tower.
    """
    tower = _reads_texts(config, backbone)
    if tower is None:
        introduce(task, None)
        return {}, {}
    name = base_name(config)
    if tower.tokenizer is None:
        raise UserError(
            f"{tower.name} has no text tower, which the head {name!r} needs: give "
            "--config.head.text_backbone the name of a CLIP"
        )
    if name == "descriptions":
        introduce(task, None)
        return _texts(config, backbone, tower, task.class_names, workdir)
    remedy = ", or give --config.head.init=random" if name == "linear" else ""
    reader = Reader(tower.name, tower.tokenizer, tuple(config.head.templates), remedy)
    introduce(task, reader, backbone.source_classes if name == "semantic" else ())
    return _texts(config, backbone, tower, task.class_names, workdir)


def texts_of_run(
    config: ConfigDict, backbone: Backbone, class_names: Sequence[str], workdir: pathlib.Path
) -> tuple[Features, dict[str, str]]:
    """The same for a run in a folder, whose classes are known.

    Raises:
      UserError: the stored ones are of another run.
    """
    tower = _reads_texts(config, backbone)
    if tower is None:
        return {}, {}
    return _texts(config, backbone, tower, class_names, workdir, is_loaded=True)


def _reads_texts(config: ConfigDict, backbone: Backbone) -> Backbone | None:
    """The model that reads the names of the classes; None where none does."""
    if base_name(config) == "semantic":
        return text_tower(config)
    reads = base_name(config) in OF_TEXTS or starts_from_text(config, backbone)
    return backbone if reads else None


def _texts(
    config: ConfigDict,
    backbone: Backbone,
    tower: Backbone,
    class_names: Sequence[str],
    workdir: pathlib.Path,
    *,
    is_loaded: bool = False,
) -> tuple[Features, dict[str, str]]:
    templates, name = config.head.templates, base_name(config)
    origin = {"backbone": tower.fingerprint}
    if name != "descriptions":
        origin["texts"] = describe(class_names, templates)
    elif not is_loaded or files.expanded(config.head.descriptions).exists():
        described = descriptions.read(config.head.descriptions, class_names)
        origin["texts"] = descriptions.digest(described)
    if name == "semantic":
        origin["source texts"] = describe(backbone.source_classes, templates)
    try:
        stored = load_text_features(workdir / TEXT_FEATURES, origin)
        if stored is not None:
            return stored, origin
    except DamagedTexts:
        distributed.say(f"{workdir / TEXT_FEATURES} is damaged; its texts are computed again")
    if name == "descriptions":
        described = descriptions.read(config.head.descriptions, class_names)
        return descriptions.encode(tower, described), origin
    texts = {"text_features": compute_text_features(tower, class_names, templates)}
    if name == "semantic":
        sources = backbone.source_classes
        texts["source_features"] = compute_text_features(tower, sources, templates)
    return texts, origin


def text_tower(config: ConfigDict) -> Backbone:
    """The CLIP by which the head 'semantic' compares names.

    Raises:
      UserError: its weights are missing, damaged or another model's.
    """
    try:
        return backbones.load(config.head.text_backbone, config.head.text_weights)
    except UserError as error:  # its weights are named by another setting than the backbone's
        (message,) = error.args
        raise UserError(message.replace("config.backbone.", "config.head.text_")) from error


def _from_run(
    config: ConfigDict, backbone: Backbone, like: dict[str, Any], classes: Classes
) -> dict[str, Any]:
    """The trained head of another run, which must be of the same backbone, classes and shapes; its
    classes are put in this run's order."""
    other = files.expanded(config.head.from_run)
    params, identity = load_part(other, "head")
    if identity["backbone"] != backbone.fingerprint:
        raise UserError(
            f"the head of {config.head.from_run} was trained on {identity['backbone']}, this run's "
            f"backbone is {backbone.fingerprint}; give --config.head.from_run of the same backbone"
        )
    record = record_lib.read(other)
    places = None
    if record is not None and record.classes is not None:
        of_run, of_data = f"the run in {other}", "this run"
        places = classes_lib.order(record.classes, classes, of_run, of_data)
    elif distributed.is_main():
        logging.warning(
            "the run in %s was saved by a version that did not keep class names: its head is taken "
            "as it is, for classes in the same order",
            other,
        )
    wanted = {key: np.shape(value) for key, value in like.items()}
    found = {key: np.shape(value) for key, value in params.items()}
    if found != wanted:
        raise UserError(
            f"the head of {config.head.from_run} has the shapes {found}, this run needs {wanted}: "
            "it is of another kind of head or another number of classes"
        )
    if places is not None:
        params = {name: _ordered(name, array, places) for name, array in params.items()}
    return params


def _ordered(name: str, array: np.ndarray, places: np.ndarray) -> np.ndarray:
    """An array of a head with its classes in another order."""
    if not array.ndim:
        return array
    if name == "residual":
        return array[places][:, places]
    return array[places] if name == "text_features" else array[..., places]
