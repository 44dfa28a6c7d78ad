"""All pretrained classifiers by name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vp_jax.backbones.bit_sizes import BITS
from vp_jax.backbones.classifier import Classifier, shapes
from vp_jax.backbones.resnet_sizes import CIFAR_RESNETS, RESNETS
from vp_jax.backbones.vit_sizes import VITS
from vp_jax.backbones.weight_table import needed_shapes

CLASSIFIERS: dict[str, Classifier] = {**RESNETS, **CIFAR_RESNETS, **VITS, **BITS}


def looks_like(tensors: Mapping[str, np.ndarray]) -> list[str]:
    """The classifiers all of whose tensors are in a file, in the right shapes.

    Args:
      tensors: name -> array.

    Returns:
      Names among `CLASSIFIERS`.
    """
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return [
        name
        for name, model in CLASSIFIERS.items()
        if any(needed_shapes(t, shapes(model)).items() <= found.items() for t in model.tables)
    ]


def hint(name: str, tensors: Mapping[str, np.ndarray]) -> str:
    """Which other classifier the tensors of a file look like, as a sentence; empty if none."""
    others = [other for other in looks_like(tensors) if other != name]
    if not others:
        return ""
    return f"The file looks like {' or '.join(others)}: is that the backbone you want?"
