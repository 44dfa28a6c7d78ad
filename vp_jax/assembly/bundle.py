"""A trained prompt and head to one file, and back."""

from __future__ import annotations

import os
import pathlib
from typing import Any

from ml_collections import ConfigDict

from vp_jax import backbones
from vp_jax.assembly.compose import keys_of
from vp_jax.assembly.parts.backbone import get_backbone, mesh_of
from vp_jax.assembly.parts.head import restored_head
from vp_jax.assembly.parts.prompt import acting_prompt
from vp_jax.assembly.settings import read_config
from vp_jax.assembly.trained import (
    Trained,
    changed_parts,
    check_backbone_of,
    load_trained,
    structures,
)
from vp_jax.backbones import Backbone
from vp_jax.backbones.weights import hub
from vp_jax.config import default
from vp_jax.errors import UserError
from vp_jax.records import bundle_file
from vp_jax.records import workdir as workdir_lib
from vp_jax.records.bundle_file import Bundle
from vp_jax.records.checkpoints.state_arrays import to_arrays
from vp_jax.records.finished import Best
from vp_jax.step.forward import resize_rule, seen_rule

METRICS = ("test_accuracy", "zero_shot_test_accuracy", "metric", "test_metric", "test_examples")


def make_bundle(
    workdir: pathlib.Path,
    weights: str | None = None,
    backbone: Backbone | None = None,
    license: str = "",  # noqa: A002 # what the field is called
) -> Bundle:
    """All of a finished run that is needed beside its frozen model.

    Of weights in a file it keeps the file's name and not the folders that it lies in.

    Args:
      workdir, weights, backbone: as for `load_trained`.
      license: a text for whoever uses it.

    Raises:
      UserError: as `load_trained`.
    """
    trained, config = load_trained(workdir, weights, backbone), read_config(workdir)
    own, result = trained.backbone, workdir_lib.read_result(workdir) or {}
    rule, seen = resize_rule(own), seen_rule(own, trained.prompt)
    return Bundle(
        arrays=to_arrays(trained.parts),
        prompt=str(trained.prompt),
        class_names=trained.class_names,
        head={"name": config.head.name, "base": config.head.base, "reads": trained.head.takes},
        backbone={
            "name": config.backbone.name if backbone is None else own.name,
            "source": config.backbone.source,
            "dtype": config.backbone.dtype,
            "fingerprint": own.fingerprint,
            **_origin(weights or config.backbone.weights, own.name, backbone is not None),
        },
        images={
            "image_size": rule.image_size,
            "resize_size": rule.resize_size or rule.image_size,
            "seen_size": seen.image_size,
            "seen_resize_size": seen.short_side,
            "resize_method": own.resize_method,
            "mean": [float(x) for x in own.mean],
            "std": [float(x) for x in own.std],
            "upright": trained.upright,
        },
        temperature=trained.temperature,
        training={
            "tune": list(config.tune),
            "seed": config.seed,
            "batch_size": trained.batch_size,
            "task": config.task.name,
        },
        metrics={name: result[name] for name in METRICS if name in result},
        license=license,
    )


def load_bundle(
    path: pathlib.Path,
    weights: str | None = None,
    backbone: Backbone | None = None,
    batch_size: int | None = None,
) -> Trained:
    """What a bundle predicts with, and its backbone.

    Args:
      path: of the file.
      weights, backbone, batch_size: as for `load_trained`.

    Raises:
      UserError: it is no bundle or a damaged one, its backbone cannot be loaded, or is another one,
        or is of a file that is not given.
    """
    bundle = bundle_file.read(path)
    if backbone is None:
        weights = weights or _weights(bundle, path)
    config = _settings(bundle, weights, batch_size)
    backbone = get_backbone(config, backbone)
    check_backbone_of(str(path), bundle.backbone["fingerprint"], backbone)
    head = restored_head(config)
    arrays = {f"tuned.{name}": array for name, array in bundle.arrays.items()}
    return Trained(
        class_names=bundle.class_names,
        prompt=acting_prompt(config),
        head=head,
        backbone=backbone,
        parts=changed_parts(Best(0, {}, arrays), structures(config, backbone, head), path),
        mesh=mesh_of(config),
        key=keys_of(config.seed).run,
        batch_size=config.batch_size,
        upright=bool(bundle.images["upright"]),
        temperature=bundle.temperature,
    )


def _origin(weights: str | None, name: str, is_own: bool) -> dict[str, str | None]:
    """Where the weights of a backbone come from, without paths of the machine that they are on."""
    if is_own:
        return {"weights": None, "file": None, "where": "a model that its maker has in Python"}
    if weights is None:
        repository = backbones.repository(name)
        on_hub = f"{repository} on the Hugging Face Hub"
        where = on_hub if repository else "in the package vp_jax"
        return {"weights": None, "file": None, "where": where}
    if hub.is_repository(weights) and not os.path.exists(weights):
        where = f"{weights} on the Hugging Face Hub"
        return {"weights": weights, "file": None, "where": where}
    file = pathlib.PurePath(weights).name
    return {"weights": None, "file": file, "where": f"{file}, a file of its maker"}


def _weights(bundle: Bundle, path: pathlib.Path) -> str | None:
    """Those of which a bundle says where they are; None for those of the backbone's name.

    Raises:
      UserError: they are in a file, or the backbone is its maker's own.
    """
    own = bundle.backbone
    file, weights = own.get("file"), own["weights"]
    if weights is not None and not hub.is_repository(weights):  # of a version that kept paths
        file = pathlib.PurePath(weights).name
    if file is not None:
        raise UserError(
            f"{path} was made with weights in a file, {file}, which is not part of it; name that "
            f"one, of the fingerprint {own['fingerprint']}, with --config.backbone.weights=PATH, "
            "in Python weights=PATH"
        )
    if own["name"] not in backbones.names():
        raise UserError(
            f"{path} was made with {own['name']}, a backbone that its maker has in Python: give it "
            "as backbone=... of vp_jax.load"
        )
    return weights


def _settings(bundle: Bundle, weights: str | None, batch_size: int | None) -> ConfigDict:
    """The settings that a run has of what a bundle holds; the others are the defaults."""
    config, own, training = default(), bundle.backbone, bundle.training
    changes: dict[str, Any] = {
        "backbone.name": own["name"],
        "backbone.source": own["source"],
        "backbone.weights": weights,
        "backbone.dtype": own["dtype"],
        "head.name": bundle.head["name"],
        "head.base": bundle.head["base"],
        "prompt": bundle.prompt,
        "tune": tuple(training["tune"]),
        "seed": training["seed"],
        "batch_size": batch_size or training["batch_size"],
    }
    with config.ignore_type():
        config.update_from_flattened_dict(changes)
    return config
