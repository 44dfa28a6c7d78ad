"""C-AVP: a prompt for each class, without its attacks, CLIP ViT-B/32, CIFAR10.

    python -m vp_jax.train --config=configs/methods/class_wise.py --workdir=runs/class_wise

Chen et al., "Visual Prompting for Adversarial Robustness" (ICASSP 2023, arXiv 2210.06284):
a frame for each class, on pixels, clipped to images; an image that is trained on has that of
its class, and where something is predicted class k answers with its own prompt. A prediction
costs as much as ten. SGD with momentum 0.9 and a cosine over 50 epochs of batch 256; their frame
is 8 of 32 pixels, here 30 of 224. Their loss is a sum over the ten classes, ours a mean over
images, so that their learning rate of 0.1 is 1 here.

Three margins of 0.1, with the weight 3, are between the prompts: that of an image's class is the
surest of its own class, and surest of this class, and those of others do not claim the image. For
them every image is seen with all prompts, so that a step costs as much as eleven; without them
(`--config.penalties.margins=0`) a prompt learns nothing of images of other classes.

The authors also attack images in training, by ten steps of PGD within 8 of 255; these are not
here, and so neither are the accuracies under attack that they report. In their code the accuracy
of each class takes the prompt of the right one, which nobody knows, and attacks are made on the
model without a prompt. Not yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The authors' settings for images that nobody attacks."""
    config = base.default()
    config.task.name = "cifar10"
    config.prompt = "class_wise(pad(30, init='zeros') | clip, 10) | normalize"
    config.epochs = 50
    config.penalties.margins = 3.0
    config.optimizer.learning_rate = 1.0
    config.schedule.warmup_steps = 0
    return config
