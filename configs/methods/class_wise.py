"""C-AVP's prompts, one for each class, without its attacks, CLIP ViT-B/32, CIFAR10.

    python -m vp_jax.train --config=configs/methods/class_wise.py --workdir=runs/class_wise

Chen et al., "Visual Prompting for Adversarial Robustness" (ICASSP 2023, arXiv 2210.06284):
a frame for each class, on pixels, clipped to images; an image that is trained on has that of
its class, and where something is predicted class k answers with its own prompt. A prediction
costs as much as ten. SGD with learning rate 0.1, momentum 0.9 and a cosine over 50 epochs of
batch 256; their frame is 8 of 32 pixels, here 30 of 224.

The authors attack images in training and have margins between the classes' prompts; neither
is here, so that a prompt learns nothing of images of other classes, and predictions are far
from what training says; `joint=True` trains by what is predicted, at ten times the price. In
their code the accuracy of each class takes the prompt of the right one, which nobody knows,
and attacks are made on the model without a prompt. Not yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The authors' settings for images that nobody attacks."""
    config = base.default()
    config.task.name = "cifar10"
    config.prompt = "class_wise(pad(30, init='zeros') | clip, 10) | normalize"
    config.epochs = 50
    config.optimizer.learning_rate = 0.1
    config.schedule.warmup_steps = 0
    return config
