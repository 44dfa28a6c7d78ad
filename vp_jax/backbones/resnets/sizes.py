"""The pretrained ResNets by name."""

from __future__ import annotations

import functools
from collections.abc import Callable

import flax.linen as nn
from jax.typing import DTypeLike

from vp_jax.backbones.classifier import Classifier
from vp_jax.backbones.resnets.cifar import STAGES, CifarResNet
from vp_jax.backbones.resnets.cifar_weights import PYTORCH_RESNET_CIFAR10
from vp_jax.backbones.resnets.resnet import ResNet
from vp_jax.backbones.resnets.weights import TORCHVISION


def trunk(module: type[nn.Module], **fields: object) -> Callable[[DTypeLike | None], nn.Module]:
    """A function of the computation dtype that makes the module."""
    return lambda dtype: module(dtype=dtype, **fields)


_imagenet = functools.partial(trunk, ResNet, image_size=224)

RESNETS: dict[str, Classifier] = {
    "resnet18": Classifier(
        trunk=_imagenet(layers=(2, 2, 2, 2), bottleneck=False),
        embed_dim=512,
        classes="imagenet1k",
        tables=(TORCHVISION,),
        hub="timm/resnet18.tv_in1k",
    ),
    "resnet50": Classifier(
        trunk=_imagenet(layers=(3, 4, 6, 3), bottleneck=True),
        embed_dim=2048,
        classes="imagenet1k",
        tables=(TORCHVISION,),
        hub="timm/resnet50.tv_in1k",
    ),
    # Mahajan et al. 2018, arXiv 1805.00932: trained on hashtags of Instagram, then on ImageNet.
    "resnext101_32x8d_wsl": Classifier(
        trunk=_imagenet(layers=(3, 4, 23, 3), bottleneck=True, groups=32, width_per_group=8),
        embed_dim=2048,
        classes="imagenet1k",
        tables=(TORCHVISION,),
        hub="timm/resnext101_32x8d.fb_wsl_ig1b_ft_in1k",
    ),
}


def cifar_resnet(layers: int) -> Classifier:
    """A CIFAR ResNet that knows CIFAR-10, by its number of layers: 8, 14, 20, ..."""
    return Classifier(
        trunk=trunk(CifarResNet, image_size=32, blocks=(layers - 2) // (2 * STAGES)),
        embed_dim=64,
        classes="cifar10",
        tables=(PYTORCH_RESNET_CIFAR10,),
        image_size=32,
        resize_size=32,
        resize_method="bicubic",  # of other images: CIFAR's have this size
    )


CIFAR_RESNETS: dict[str, Classifier] = {
    f"resnet{layers}_cifar": cifar_resnet(layers) for layers in (20, 32, 44, 56, 110)
}
