"""All pretrained classifiers by name."""

from __future__ import annotations

from vp_jax.backbones.classifier import Classifier
from vp_jax.backbones.resnets.bit_sizes import BITS
from vp_jax.backbones.resnets.sizes import CIFAR_RESNETS, RESNETS
from vp_jax.backbones.vits.sizes import VITS

CLASSIFIERS: dict[str, Classifier] = {**RESNETS, **CIFAR_RESNETS, **VITS, **BITS}
