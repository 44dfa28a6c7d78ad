"""SMM: every pixel, with a mask of its own for every image, ViT-B/32, CIFAR100.

    python -m vp_jax.train --config=configs/methods/smm.py --workdir=runs/smm

Cai et al., "Sample-specific Masks for Visual Reprogramming-based Prompting" (ICML 2024, arXiv
2406.03150): a value for every pixel, zero at first, times what a network of six convolutions makes
of the image, one number a channel for 8 x 8 pixels; on normalised images. Adam with learning rate
0.01, 200 epochs of batch 256, mirrored crops, and a mapping of classes that is found anew before
every epoch. The authors' ViT-B/32 takes 384 pixels, ours 224; `--config.backbone.name=resnet18
--config.prompt="normalize | masked(full(init='zeros'))"` is their ResNet's.

The released code keeps the epoch that is best on the test data; here it is chosen on a tenth
of the training data. Batch normalisation in the network is group normalisation here, so that
training and use see the same mask. The authors train the mask of a ViT at a tenth of the rate
of the values, and divide the latter by 10 after half of the epochs and after 72 % of them;
here both have one rate and one cosine. Not yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The authors' settings."""
    config = base.default()
    config.backbone.name = "vit_b32"
    config.prompt = "normalize | masked(full(init='zeros'), layers=6)"
    config.head.name = "iterative"
    config.augment.flip = True
    config.augment.crop_scale = 0.75
    config.epochs = 200
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 0.01
    config.schedule.warmup_steps = 0
    return config
