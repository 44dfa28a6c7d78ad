"""All pretrained classifiers by name."""

from __future__ import annotations

from vp_jax.backbones.bit_sizes import BITS
from vp_jax.backbones.classifier import Classifier
from vp_jax.backbones.resnet_sizes import CIFAR_RESNETS, RESNETS
from vp_jax.backbones.vit_sizes import VITS

CLASSIFIERS: dict[str, Classifier] = {**RESNETS, **CIFAR_RESNETS, **VITS, **BITS}
