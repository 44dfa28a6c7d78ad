"""Makes the golden files of test_classifier_golden.py: small classifiers of timm.

    PYTHONPATH=. python tests/backbones/golden/make_classifier_golden.py [NAME ...]

Needs torch (CPU) and timm. Of each model there are the weights, in float16 and the reference's own
tensor names, and what the reference computes with just these weights in float32: features, source
logits, and the gradient with respect to the first image.
"""

from __future__ import annotations

import functools
import pathlib
import sys
from collections.abc import Callable

import numpy as np
import safetensors.numpy
import torch

FOLDER = pathlib.Path(__file__).parent
sys.path[:0] = [str(FOLDER.parent), str(FOLDER.parents[2] / "experiments")]

import classifier_references  # noqa: E402
import clip_references  # noqa: E402
from make_clip_golden import round_to_half  # noqa: E402
from tiny_classifiers import GOLDEN  # noqa: E402

BATCH = 3


def _resnet(block: str, layers: tuple[int, ...], width: int, **options: object) -> torch.nn.Module:
    clip_references.make_torchvision_importable()
    from timm.models import resnet

    return resnet.ResNet(
        getattr(resnet, block),
        layers,
        num_classes=10,
        channels=tuple(width * 2**stage for stage in range(4)),
        **options,
    )


def _vit(**options: int) -> torch.nn.Module:
    clip_references.make_torchvision_importable()
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(num_classes=10, **options)


def _bit(groups: int, **options: object) -> torch.nn.Module:
    clip_references.make_torchvision_importable()
    from timm.layers import GroupNormAct
    from timm.models.resnetv2 import ResNetV2

    norm = functools.partial(GroupNormAct, num_groups=groups)
    return ResNetV2(num_classes=10, stem_type="fixed", norm_layer=norm, **options)


# name of the files -> makes the reference, a module with timm's forward_features and forward_head
REFERENCES: dict[str, Callable[[], torch.nn.Module]] = {
    "resnet_basic": functools.partial(_resnet, "BasicBlock", (1, 2, 1, 1), 4),
    "resnet_bottleneck": functools.partial(_resnet, "Bottleneck", (2, 1, 1, 1), 4),
    "resnet_grouped": functools.partial(
        _resnet, "Bottleneck", (1, 1, 2, 1), 4, cardinality=4, base_width=32
    ),
    "resnet8_cifar": functools.partial(classifier_references.CifarResNet, blocks=1, width=4),
    "vit": functools.partial(_vit, img_size=24, patch_size=8, embed_dim=32, depth=2, num_heads=2),
    "bit": functools.partial(
        classifier_references.bit_model,
        functools.partial(_bit, groups=4, stem_chs=8, layers=(1, 2), channels=(32, 64)),
    ),
}


def make(name: str) -> None:
    """Writes the two files of a model."""
    image_size = GOLDEN[name].image_size
    model = classifier_references.random_model(REFERENCES[name], image_size, seed=1)
    with torch.no_grad():
        round_to_half(model)
    weights = {
        n: x.astype(np.float16) if x.dtype == np.float32 else x
        for n, x in clip_references.state_dict(model).items()
    }
    # save_file would make the file readable by its owner only
    (FOLDER / f"{name}.safetensors").write_bytes(safetensors.numpy.save(weights))
    images, cotangent = classifier_references.inputs(image_size, 10, BATCH, seed=2)
    images = images.astype(np.float16).astype(np.float32)
    with torch.backends.mkldnn.flags(enabled=False):  # it crashes on so few channels
        outputs = classifier_references.run(model, images, cotangent)
    np.savez_compressed(
        FOLDER / f"{name}_io.npz",
        images=images.astype(np.float16),
        cotangent=cotangent,
        features=outputs.features,
        logits=outputs.logits,
        first_gradient=outputs.image_gradient[0],
    )


if __name__ == "__main__":
    for name in sys.argv[1:] or REFERENCES:
        make(name)
