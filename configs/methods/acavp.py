"""ACAVP: the image moved and coloured, and what is left free filled, CLIP ViT-B/32, CIFAR100.

    python -m vp_jax.train --config=configs/methods/acavp.py --workdir=runs/acavp

Enomoto, "Enhancing Visual Prompting through Expanded Transformation Space and Overfitting
Mitigation" (NeurIPS 2025, arXiv 2510.07823): on pixels, an affine map that begins with the image at
164 of 224 pixels, a factor between 0 and 6 for every pixel value, and values that are added where
the map leaves nothing of the image. SGD with learning rate 40, momentum 0.9 and a cosine over 1,000
epochs of batch 256; images are mirrored and augmented by TrivialAugment. The gradient of each array
of parameters is divided by its norm, and that of the map and the factors clipped at 0.001, so that
no number of these moves by more than 0.04 a step but for momentum. Here the map has a learning rate
of 0.04, which keeps the same bound; of the factors, most of whose normalised gradients lie below
0.002, nothing is clipped.

The released code is defective in places, and here it is done otherwise: the map is about the centre
of the image, not its top left corner; what is free is known from the map, not from pixels that are
black in a whole batch; the cosine ends with the run, and does not come back every 1,000 steps; and
the loss scale of mixed precision, which is divided out there after norms are taken and values
clipped, so that the true rates are smaller by that scale, plays no part. Norms are of the
parameters, after their sigmoid and tanh, not before. Not yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The author's settings."""
    config = base.default()
    config.prompt = "border(affine | color) | normalize"
    config.optimizer.gradient.prompt = "unit_arrays"
    config.optimizer.learning_rates.stages = "scale=0.04, angle=0.04, shear=0.04, shift=0.04"
    config.schedule.warmup_steps = 0
    config.augment.flip = True
    config.augment.policy = "trivialaugment"
    return config
