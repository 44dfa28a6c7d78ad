"""The released ViTs and DeiTs that classify ImageNet-1k.

`vit_*` are the ViTs of Steiner et al. 2021 (arXiv 2106.10270), pretrained on ImageNet-21k;
`deit_*` those of Touvron et al. 2020, trained on ImageNet-1k alone. The tensors of `vit_ti16` and
`deit_ti16` have the same names and shapes (and so for `s16` and `b16`), so that the weights of one
load as the other. What differs is how images are normalised: choose the name by where the weights
come from, `deit_*` for any file of DeiT, or the accuracy is silently lower.
"""

from __future__ import annotations

import flax.linen as nn
from jax.typing import DTypeLike

from vp_jax.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from vp_jax.backbones.classifier import Classifier
from vp_jax.backbones.vits.vit import VisionTransformer
from vp_jax.backbones.vits.weights import TIMM, google

IMAGE_SIZE = 224
RESIZE_SIZE = 248  # timm's configs crop 0.9 of it: 224 / 0.9, rounded down
HEAD_WIDTH = 64
HALF = (0.5, 0.5, 0.5)  # mean and std of Google's


def vit(
    width: int,
    layers: int,
    patch_size: int,
    hub: str,
    *,
    mean: tuple[float, float, float] = HALF,
    std: tuple[float, float, float] = HALF,
) -> Classifier:
    """A ViT of image size 224 with heads of width 64."""

    def trunk(dtype: DTypeLike | None) -> nn.Module:
        return VisionTransformer(
            image_size=IMAGE_SIZE,
            patch_size=patch_size,
            width=width,
            layers=layers,
            heads=width // HEAD_WIDTH,
            dtype=dtype,
        )

    return Classifier(
        trunk=trunk,
        embed_dim=width,
        classes="imagenet1k",
        tables=(TIMM, google(HEAD_WIDTH)),
        image_size=IMAGE_SIZE,
        resize_size=RESIZE_SIZE,
        resize_method="bicubic",
        mean=mean,
        std=std,
        hub=hub,
        attends=True,
    )


def deit(width: int, hub: str) -> Classifier:
    """A DeiT: a ViT of 12 layers and 16 x 16 patches with torchvision's mean and std."""
    return vit(width, 12, 16, hub, mean=IMAGENET_MEAN, std=IMAGENET_STD)


VITS: dict[str, Classifier] = {
    "vit_ti16": vit(192, 12, 16, "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"),
    "vit_s16": vit(384, 12, 16, "timm/vit_small_patch16_224.augreg_in21k_ft_in1k"),
    "vit_b16": vit(768, 12, 16, "timm/vit_base_patch16_224.augreg_in21k_ft_in1k"),
    "vit_b32": vit(768, 12, 32, "timm/vit_base_patch32_224.augreg_in21k_ft_in1k"),
    "vit_l16": vit(1024, 24, 16, "timm/vit_large_patch16_224.augreg_in21k_ft_in1k"),
    "deit_ti16": deit(192, "timm/deit_tiny_patch16_224.fb_in1k"),
    "deit_s16": deit(384, "timm/deit_small_patch16_224.fb_in1k"),
    "deit_b16": deit(768, "timm/deit_base_patch16_224.fb_in1k"),
}
