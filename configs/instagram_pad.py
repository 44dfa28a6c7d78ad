"""Padding of 30 pixels for the Instagram ResNeXt-101 32x8d, CIFAR100.

    python -m vp_jax.train --config=configs/instagram_pad.py --workdir=runs/instagram_pad

A ResNeXt-101 pretrained on a billion hashtagged photographs (WSL) and fine-tuned to ImageNet-1k,
whose classes stand for the downstream ones, class i for class i, as in the paper.

Weights (360 MB, for research only) come from the Hugging Face Hub,
`timm/resnext101_32x8d.fb_wsl_ig1b_ft_in1k`; `--config.backbone.weights=PATH` takes a local copy.

Bahng et al. 2022 (arXiv 2203.17274): batch 32, everything else as in `configs/clip_pad.py`. The
largest model of the paper: 1,563 steps an epoch on CIFAR100. Not yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The paper's protocol for the largest model."""
    config = base.default()
    config.backbone.name = "resnext101_32x8d_wsl"
    config.head.name = "first_k"
    config.batch_size = 32
    return config
