"""The backbone of a run, and the devices that it lies on."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vp_jax import backbones, heads
from vp_jax.assembly.parts.head import OF_FEATURES, OF_TEXTS, base_name
from vp_jax.backbones import Backbone
from vp_jax.errors import UserError, unknown
from vp_jax.heads.on_top import NAMES as ON_TOP
from vp_jax.host.progress_bar import waiting
from vp_jax.step.sharding import check_devices, make_mesh


def load_backbone(config: ConfigDict) -> Backbone:
    """The model of `config.backbone`.

    Raises:
      UserError: there are no devices, or its weights are missing, damaged or another model's.
    """
    check_devices()
    settings = config.backbone
    with waiting(f"loading the backbone {settings.name}"):
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


def get_backbone(config: ConfigDict, own: Backbone | None) -> Backbone:
    """The user's own backbone, or the one of `config.backbone`.

    Raises:
      UserError: its weights are missing, damaged, another model's, or not for the head.
    """
    if own is not None:
        return own
    backbone = load_backbone(config)
    check_loaded(config, backbone)
    return backbone


def mesh_of(config: ConfigDict) -> Mesh:
    """The mesh of a run; the devices along `model` share the backbone.

    Raises:
      UserError: there are no devices, or they cannot be divided as `config.backbone.shards` says.
    """
    check_devices()
    if config.backbone.sharding == "replicated":
        return make_mesh()
    return make_mesh(config.backbone.shards or jax.local_device_count())


def check_backbone(config: ConfigDict, backbone: Backbone | None) -> None:
    """Refuses a backbone that is not there, or that the head and the tuned parts do not fit.

    Args:
      config: all settings.
      backbone: one of the user's own, instead of `config.backbone`.

    Raises:
      UserError: says what does not fit, and what would.
    """
    name, head = config.backbone.name, base_name(config)
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
            "backbone=backbones.from_fn(...) of runs.train, runs.evaluate and vp_jax.load"
        )
    if head in OF_TEXTS and not has_texts:
        fitting = [n for n in heads.names() if n not in (*OF_TEXTS, *ON_TOP)]
        setting = "base" if config.head.name in ON_TOP else "name"
        raise UserError(
            f"the head {head!r} needs a CLIP, and {name} has no text tower; give "
            f"--config.head.{setting}={fitting[0]}, or one of {', '.join(fitting[1:])}"
        )
    if head not in OF_FEATURES and not has_classes:
        raise UserError(
            f"the head {head!r} maps source classes, and {name}, a CLIP, has none; give "
            f"--config.head.name={' or '.join(OF_FEATURES)}, or a classifier as the backbone"
        )
    if backbone is not None:
        check_loaded(config, backbone)
    _check_sharding(config)


def check_loaded(config: ConfigDict, backbone: Backbone) -> None:
    """Refuses a head that maps source classes where the weights of a classifier know none.

    Raises:
      UserError: their last layer is missing or of other classes, see `backbones.load`.
    """
    if base_name(config) not in OF_FEATURES and backbone.classify is None:
        raise UserError(
            f"the head {base_name(config)!r} maps source classes, and these weights of "
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
