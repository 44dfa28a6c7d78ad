"""Padding of 30 pixels for Big Transfer's BiT-M ResNet-50x1, CIFAR100.

    python -m vp_jax.train --config=configs/bit_pad.py --workdir=runs/bit_pad

The model has 21,843 source classes (ImageNet-21k); downstream class i is source class i, as in the
paper. `bit_m_r50x1_1k` is the same model fine-tuned to ImageNet-1k.

Weights (270 MB) come from the Hugging Face Hub, `timm/resnetv2_50x1_bit.goog_in21k`;
`--config.backbone.weights=BiT-M-R50x1.npz` takes Google's own file.

Bahng et al. 2022 (arXiv 2203.17274), batch 128, with two defects of the released code repaired:
there the head was loaded as zeros, so that the loss stayed at ln(100) and the prompt's gradient at
zero, and the images were normalised with ImageNet's statistics, not the model's own (0.5, 0.5). A
run whose gradient is zero is refused here. Not yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The paper's protocol for vision models."""
    config = base.default()
    config.backbone.name = "bit_m_r50x1"
    config.head.name = "first_k"
    config.batch_size = 128
    return config
