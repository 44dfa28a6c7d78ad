"""The paper's main experiment: padding of 30 pixels, CLIP ViT-B/32, CIFAR100.

    python -m vp_jax.train --config=configs/clip_pad.py --workdir=runs/clip_pad_cifar100
    python -m vp_jax.train --config=configs/clip_pad.py --workdir=runs/clip_pad_svhn \
        --config.task.name=svhn_cropped

Bahng et al. 2022 (arXiv 2203.17274): 1,000 epochs of batch 256, SGD with momentum 0.9, learning
rate 40 after 1,000 steps of warm-up, then a cosine to zero; 69,840 parameters.

Weights (about 600 MB) come from the Hugging Face Hub, `timm/vit_base_patch32_clip_224.openai`;
`--config.backbone.weights=PATH` takes a local copy. The data come through TensorFlow Datasets:
install the extra `data` once to prepare them.

Differences from the released code, each where it was defective: the backbone is frozen and the
text features are computed once (same result, several times faster); the best epoch is chosen on a
tenth of the training data, not on the test data (`--config.select_on=test
--config.task.val_fraction=0` is the paper's way); resuming is exact.

The paper's figure gives +12.2 points over zero-shot on CIFAR100 and +83.2 on SVHN for the full
runs. Not yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The defaults are this experiment."""
    return base.default()
