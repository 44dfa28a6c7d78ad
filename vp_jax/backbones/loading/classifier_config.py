"""Refuses classifier weights that the config file beside them says are normalised otherwise.

DeiT-Tiny and ViT-Ti/16 have the same tensors and other means: weights of the one, loaded as the
other, are silently some points worse. timm's `config.json` does tell.
"""

from __future__ import annotations

import json
import pathlib

import numpy as np

from vp_jax.backbones.classifier import Classifier
from vp_jax.errors import UserError

FILE = "config.json"


def check(folder: pathlib.Path, model: Classifier, name: str) -> None:
    """Compares the mean and std in timm's config file in `folder` with the model's.

    Args:
      folder: where the weights are; without a config file of timm's nothing is compared.
      model: what the weights are loaded as.
      name: of it, for the message.

    Raises:
      UserError: the file cannot be read, or its images are normalised otherwise.
    """
    path = folder / FILE
    if not path.is_file():
        return
    try:
        given = json.loads(path.read_text(encoding="utf-8")).get("pretrained_cfg", {})
        found = {key: tuple(map(float, given[key])) for key in ("mean", "std") if key in given}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is not a readable config of timm's ({type(error).__name__}: {error}). Fetch "
            "it again, or move it away if it does not belong to the weights beside it."
        ) from error
    expected = {"mean": model.mean, "std": model.std}
    differing = [
        f"{key} is {value} there and {expected[key]} here"
        for key, value in found.items()
        if np.shape(value) != (3,) or not np.allclose(value, expected[key], atol=1e-3)
    ]
    if differing:
        raise UserError(
            f"the weights in {folder} are not for {name}: by {path.name} {'; '.join(differing)}, "
            "and the features would be silently wrong. Of models with the same tensors, vit_* have "
            "means of 0.5 and deit_* ImageNet's."
        )
