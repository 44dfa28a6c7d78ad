"""EVP: a frame around a smaller image, with a gradient of unit length, CLIP ViT-B/32, CIFAR100.

    python -m vp_jax.train --config=configs/methods/evp.py --workdir=runs/evp

Wu et al., "Unleashing the Power of Visual Prompting At the Pixel Level" (TMLR 2024, arXiv
2212.10556): the image is resized to 164 pixels, in the middle of zeros, and a frame of 30 is added
before normalisation. Its gradient is divided by its norm, so that the learning rate, 70, is the
length of a step; 1,000 epochs of batch 256, cosine, no momentum, images mirrored at random.

In the authors' code the norm is of the gradient with respect to all 224 x 224 pixels, and what lies
under the image is dropped afterwards. That is done here: the prompt has a value for every pixel, of
which only the frame's are ever moved, so that 150,528 parameters are counted and 69,840 learn. With
`--config.prompt="shrink(164) | pad(30, init='zeros') | normalize"
--config.optimizer.gradient.prompt=unit` the norm is of the frame alone, and steps are longer.

Where the code differs from this: it chooses the best epoch on the test data, computes the text
features anew in every step, and lowers the learning rate once an epoch, not in every step. Not yet
measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The authors' settings for a CLIP."""
    config = base.default()
    config.head.templates = ("this is a photo of a {}",)
    config.prompt = "shrink(164) | full(init='zeros') | normalize"
    config.augment.flip = True
    config.optimizer.learning_rate = 70.0
    config.optimizer.momentum = 0.0
    config.optimizer.gradient.prompt = "unit | frame(30)"
    config.schedule.warmup_steps = 0
    return config
