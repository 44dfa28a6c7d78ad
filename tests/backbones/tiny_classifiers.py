"""Classifiers that are small enough for tests, and the golden files there are of them."""

from __future__ import annotations

import pathlib

import numpy as np
import safetensors.numpy

from vp_jax.backbones.classifier import Classifier
from vp_jax.backbones.resnets import bit_weights
from vp_jax.backbones.resnets.bit import BitResNet
from vp_jax.backbones.resnets.cifar import CifarResNet
from vp_jax.backbones.resnets.cifar_weights import PYTORCH_RESNET_CIFAR10
from vp_jax.backbones.resnets.resnet import ResNet
from vp_jax.backbones.resnets.sizes import trunk
from vp_jax.backbones.resnets.weights import TORCHVISION
from vp_jax.backbones.vits import weights as vit_weights
from vp_jax.backbones.vits.vit import VisionTransformer

GOLDEN_FOLDER = pathlib.Path(__file__).parent / "golden"


def golden_tensors(name: str) -> dict[str, np.ndarray]:
    """The tensors of a golden weight file."""
    return safetensors.numpy.load_file(GOLDEN_FOLDER / f"{name}.safetensors")


def write_weights(folder: pathlib.Path, tensors: dict[str, np.ndarray]) -> pathlib.Path:
    """A weight file in a folder."""
    path = folder / "model.safetensors"
    safetensors.numpy.save_file(tensors, path)
    return path


def _resnet(embed_dim: int, **fields: object) -> Classifier:
    return Classifier(
        trunk=trunk(ResNet, image_size=40, **fields),
        embed_dim=embed_dim,
        classes="cifar10",
        tables=(TORCHVISION,),
        image_size=40,
        resize_size=44,
    )


GOLDEN: dict[str, Classifier] = {  # by name of the files
    "resnet_basic": _resnet(32, layers=(1, 2, 1, 1), bottleneck=False, width=4),
    "resnet_bottleneck": _resnet(128, layers=(2, 1, 1, 1), bottleneck=True, width=4),
    "resnet_grouped": _resnet(
        128, layers=(1, 1, 2, 1), bottleneck=True, width=4, groups=4, width_per_group=32
    ),
    "vit": Classifier(
        trunk=trunk(VisionTransformer, image_size=24, patch_size=8, width=32, layers=2, heads=2),
        embed_dim=32,
        classes="cifar10",
        tables=(vit_weights.TIMM, vit_weights.google(16)),
        image_size=24,
        resize_size=26,
    ),
    "bit": Classifier(
        trunk=trunk(BitResNet, image_size=40, layers=(1, 2), width=8, groups=4),
        embed_dim=64,
        classes="cifar10",
        tables=(bit_weights.TIMM, bit_weights.google((1, 2))),
        image_size=40,
        resize_size=44,
    ),
    "resnet8_cifar": Classifier(
        trunk=trunk(CifarResNet, image_size=32, blocks=1, width=4),
        embed_dim=16,
        classes="cifar10",
        tables=(PYTORCH_RESNET_CIFAR10,),
        image_size=32,
        resize_size=32,
    ),
}
