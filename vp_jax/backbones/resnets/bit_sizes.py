"""The released BiT-M ResNet-50x1: pretrained on ImageNet-21k, and fine-tuned to ImageNet-1k.

BiT normalises images with mean and std 0.5, not with ImageNet's statistics.
"""

from __future__ import annotations

import flax.linen as nn
from jax.typing import DTypeLike

from vp_jax.backbones.classifier import Classifier
from vp_jax.backbones.resnets.bit import BitResNet
from vp_jax.backbones.resnets.bit_weights import TIMM, google

LAYERS = (3, 4, 6, 3)  # of ResNet-50


def _r50x1(classes: str, image_size: int, resize_size: int, hub: str) -> Classifier:
    def trunk(dtype: DTypeLike | None) -> nn.Module:
        return BitResNet(image_size=image_size, layers=LAYERS, dtype=dtype)

    return Classifier(
        trunk=trunk,
        embed_dim=2048,
        classes=classes,
        tables=(TIMM, google(LAYERS)),
        image_size=image_size,
        resize_size=resize_size,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        hub=hub,
    )


BITS: dict[str, Classifier] = {
    "bit_m_r50x1": _r50x1("imagenet21k", 224, 256, "timm/resnetv2_50x1_bit.goog_in21k"),
    "bit_m_r50x1_1k": _r50x1("imagenet1k", 448, 448, "timm/resnetv2_50x1_bit.goog_in21k_ft_in1k"),
}
