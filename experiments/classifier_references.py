"""Pretrained classifiers as timm computes them, with random weights: what parity is measured with.

Needs torch and timm; the CIFAR ResNets, which timm lacks, are written here. The weights are random
in every place, also in those that a fresh model leaves at 0 or 1, since otherwise a swapped bias
would go unnoticed. Batch normalisation has the statistics of noise images, and residual branches of
ResNets are scaled down, as in trained models (`clip_references` says why).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import NamedTuple

import clip_references
import numpy as np
import torch
from torch import nn

BRANCH_SCALE = 0.2  # mean of the last BatchNorm's weights in a residual branch
TINY_DEVIATION = 1e-3  # arrays that vary less are drawn anew
BIT_KERNEL_EPSILON = 1e-10  # google-research/big_transfer, bit_jax/models.py


class Outputs(NamedTuple):
    """What a classifier makes of images.

    Attributes:
      features: `[B, D]`.
      logits: `[B, K]`.
      image_gradient: of `sum(logits * cotangent)`, `[B, S, S, 3]`.
    """

    features: np.ndarray
    logits: np.ndarray
    image_gradient: np.ndarray


def timm_model(name: str, **options: object) -> nn.Module:
    """A model of timm without its weights."""
    clip_references.make_torchvision_importable()
    import timm

    return timm.create_model(name, pretrained=False, **options)


def bit_model(make: Callable[[], nn.Module]) -> nn.Module:
    """A ResNetV2 of timm that standardises its kernels with the epsilon of BiT's released code.

    timm's own is 1e-8, which is off by more than 1e-5 where a kernel varies little.
    """
    clip_references.make_torchvision_importable()
    from timm.layers import StdConv2d

    model = make()
    for module in model.modules():
        if isinstance(module, StdConv2d):
            module.eps = BIT_KERNEL_EPSILON
    return model


class CifarBlock(nn.Module):
    """Two convolutions and a shortcut of option A, half of the new channels before the old ones."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.new = stride, (outputs - inputs) // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        zeros = (0, 0, 0, 0, self.new, self.new)
        x = nn.functional.pad(x[:, :, :: self.stride, :: self.stride], zeros)
        return torch.relu(out + x)


class CifarResNet(nn.Module):
    """He et al. 2016, section 4.2, in the tensor names of akamaster/pytorch_resnet_cifar10."""

    def __init__(self, blocks: int, width: int = 16, classes: int = 10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for stage in range(3):
            made = []
            for block in range(blocks):
                outputs, stride = width * 2**stage, 2 if stage and not block else 1
                made.append(CifarBlock(inputs, outputs, stride))
                inputs = outputs
            self.add_module(f"layer{stage + 1}", nn.Sequential(*made))
        self.linear = nn.Linear(inputs, classes)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.layer3(self.layer2(self.layer1(x)))

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        x = x.mean((2, 3))
        return x if pre_logits else self.linear(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(x))


def _bit_r50x1(classes: int) -> Callable[[], nn.Module]:
    make = functools.partial(timm_model, "resnetv2_50x1_bit", num_classes=classes)
    return functools.partial(bit_model, make)


# vp_jax's name -> makes the reference, a module with timm's forward_features and forward_head.
REFERENCES: dict[str, Callable[[], nn.Module]] = {
    "resnet18": functools.partial(timm_model, "resnet18"),
    "resnet50": functools.partial(timm_model, "resnet50"),
    "resnext101_32x8d_wsl": functools.partial(timm_model, "resnext101_32x8d"),
    **{
        f"resnet{layers}_cifar": functools.partial(CifarResNet, blocks=(layers - 2) // 6)
        for layers in (20, 32, 44, 56, 110)
    },
    "vit_ti16": functools.partial(timm_model, "vit_tiny_patch16_224"),
    "vit_s16": functools.partial(timm_model, "vit_small_patch16_224"),
    "vit_b16": functools.partial(timm_model, "vit_base_patch16_224"),
    "vit_b32": functools.partial(timm_model, "vit_base_patch32_224"),
    "vit_l16": functools.partial(timm_model, "vit_large_patch16_224"),
    "deit_ti16": functools.partial(timm_model, "deit_tiny_patch16_224"),
    "deit_s16": functools.partial(timm_model, "deit_small_patch16_224"),
    "deit_b16": functools.partial(timm_model, "deit_base_patch16_224"),
    "bit_m_r50x1": _bit_r50x1(21843),
    "bit_m_r50x1_1k": _bit_r50x1(1000),
}


def random_model(make: Callable[[], nn.Module], image_size: int, seed: int = 0) -> nn.Module:
    """What `make` makes, with random weights, in evaluation mode.

    Args:
      make: as the values of `REFERENCES`.
      image_size: of the noise images that batch normalisation gets its statistics from.
      seed: of weights and noise.
    """
    torch.manual_seed(seed)
    model = make()
    _randomise(model)
    _calibrate(model, image_size)
    return model.eval()


def inputs(
    image_size: int, classes: int, batch: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Random normalised images `[B, S, S, 3]` and a cotangent of the logits `[B, K]`."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(batch, image_size, image_size, 3)).astype(np.float32)
    return images, rng.normal(size=(batch, classes)).astype(np.float32)


def run(model: nn.Module, images: np.ndarray, cotangent: np.ndarray) -> Outputs:
    """Runs one of the models, in the dtype of its parameters.

    Args:
      model: has timm's `forward_features` and `forward_head`.
      images: normalised, `[B, S, S, 3]`.
      cotangent: of the logits, `[B, K]`.
    """
    dtype = next(model.parameters()).dtype
    # Contiguous: torch's GroupNorm over channels-last memory is seven times less accurate.
    channels_first = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    pixels = torch.tensor(channels_first, dtype=dtype, requires_grad=True)
    maps = model.forward_features(pixels)
    features, logits = model.forward_head(maps, pre_logits=True), model.forward_head(maps)
    (logits * torch.tensor(cotangent, dtype=dtype)).sum().backward()
    gradient = pixels.grad.numpy().transpose(0, 2, 3, 1)
    return Outputs(features.detach().numpy(), logits.detach().numpy(), gradient)


@torch.no_grad()
def _randomise(model: nn.Module) -> None:
    """Moves parameters away from their initial constants; matrices are random already."""
    ends = _branch_ends(model)
    for name, param in model.named_parameters():
        if param.ndim != 1:
            if param.numel() > 1 and param.std() < TINY_DEVIATION:
                param.normal_(0, 0.02)
        elif name.endswith("bias"):
            param.normal_(0, 0.1)
        elif name in ends:
            param.normal_(BRANCH_SCALE, BRANCH_SCALE / 4)
        else:
            param.normal_(1, 0.2)


def _branch_ends(model: nn.Module) -> set[str]:
    """The weights of the last BatchNorm of each residual branch of a ResNet."""
    last = {}
    for name, module in model.named_modules():
        match = re.fullmatch(r"(layer\d+\.\d+)\.bn\d", name)
        if match and isinstance(module, nn.BatchNorm2d):
            last[match.group(1)] = f"{name}.weight"  # bn1, bn2 and bn3 come in this order
    return set(last.values())


@torch.no_grad()
def _calibrate(model: nn.Module, image_size: int) -> None:
    """Gives batch normalisations the mean and variance of their inputs on noise images."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # plain average
    if norms:
        model.train()
        model(torch.randn(4, 3, image_size, image_size))
