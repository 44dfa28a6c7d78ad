"""The tasks of the comparison, each with the frozen model that it is learned by.

All are real and small: two CPU cores are enough. Images and weights are read from the folder that
`VP_JAX_DATA` names.
"""

from __future__ import annotations

import os
import pathlib
from typing import Any, NamedTuple

from vp_jax.errors import UserError


class Pair(NamedTuple):
    """A task with its model.

    Attributes:
      name: in tables.
      settings: of model and task, `{data}` being the folder of the data.
      side: of the model's images.
      features: of the model, numbers of an image.
      epochs: that give about the number of updates that all methods have.
      updates: of batch 16.
      costly: whether an image costs a hundred times as much, so that fewer methods are tried.
    """

    name: str
    settings: dict[str, Any]
    side: int
    features: int
    epochs: int
    updates: int
    costly: bool = False


CLIP = {"backbone.name": "clip_tiny", "head.templates": ("{}",)}
RESNET = {
    "backbone.name": "resnet20_cifar",
    "backbone.weights": "{data}/cifar10_resnet20.safetensors",
    "head.name": "frequency",
    "head.base": "frequency",
}
DEIT: dict[str, Any] = {
    "backbone.name": "deit_ti16",
    "backbone.weights": "{data}/deit_tiny_patch16_224.safetensors",
    "head.name": "frequency",
    "head.base": "frequency",
}


def folder_of(archive: str) -> dict[str, Any]:
    return {"task.name": "folder", "task.data_dir": f"{{data}}/{archive}"}


PAIRS = (
    Pair("clip_tiny, digits", {**CLIP, "task.name": "digits"}, 32, 192, 12, 876),
    Pair("clip_tiny, EuroSAT", {**CLIP, **folder_of("eurosat.tar")}, 32, 192, 8, 904),
    Pair("clip_tiny, signs", {**CLIP, **folder_of("gtsrb32.tar")}, 32, 192, 8, 896),
    Pair(
        "ResNet-20, USPS",
        {**RESNET, "task.name": "usps", "task.data_dir": "{data}/usps.npz"},
        32,
        64,
        2,
        822,
    ),
    Pair("ResNet-20, EuroSAT", {**RESNET, **folder_of("eurosat.tar")}, 32, 64, 8, 904),
    Pair("DeiT-Tiny, textures", {**DEIT, **folder_of("dtd10.tar")}, 224, 192, 4, 92, costly=True),
    Pair(
        "DeiT-Tiny, flowers",
        {**DEIT, **folder_of("tf_flowers.tar")},
        224,
        192,
        4,
        104,
        costly=True,
    ),
)


def located(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with the folder of the data put in.

    Raises:
      UserError: `VP_JAX_DATA` is not set.
    """
    if not any("{data}" in value for value in settings.values() if isinstance(value, str)):
        return dict(settings)
    data = os.environ.get("VP_JAX_DATA")
    if not data:
        raise UserError("set VP_JAX_DATA to the folder that holds eurosat.tar and the others")
    folder = str(pathlib.Path(data).absolute())
    return {
        name: value.replace("{data}", folder) if isinstance(value, str) else value
        for name, value in settings.items()
    }
