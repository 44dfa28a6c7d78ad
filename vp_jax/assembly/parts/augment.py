"""The augmentation of a run."""

from __future__ import annotations

from ml_collections import ConfigDict

from vp_jax.data import augment

MIXES = ("mixup", "cutmix")
"""The settings of `config.augment` that mix images."""


def make_augment(config: ConfigDict) -> augment.Augment | None:
    """The augmentation of single images of `config.augment`, or None where there is none."""
    settings = config.augment.to_dict()
    return augment.make_augment(**{k: v for k, v in settings.items() if k not in MIXES})


def make_mixing(config: ConfigDict, image_size: int) -> augment.Mixing | None:
    """Mixup and CutMix of `config.augment`, or None where both are off."""
    return augment.make_mixing(config.augment.mixup, config.augment.cutmix, image_size)


def mixes(config: ConfigDict) -> list[str]:
    """Those of `MIXES` that are on."""
    return [mix for mix in MIXES if config.augment[mix] > 0]
