"""AutoVP: a frame around an image of learned size and a learned mapping, ResNet-18, CIFAR100.

    python -m vp_jax.train --config=configs/methods/autovp.py --workdir=runs/autovp

Tsao et al., "AutoVP: An Automated Visual Prompting Framework and Benchmark" (ICLR 2024, arXiv
2310.08381), for vision models: the image has 128 of 224 pixels at first, scaled by one number that
is learned; around it is sigmoid(theta), grey at first; a linear layer maps source logits to
classes. Adam with learning rate 0.001, multiplied by 0.1 at 50 % and 72 % of 200 epochs of batch
128. With a CLIP they add theta to normalised values instead: `--config.prompt="normalize |
border(resize)"`, SGD with learning rate 40, momentum 0.9 and a cosine. Which mapping, size and
backbone is best they search for each task; this is one point of that search.

In the released code validation data are the test data, and dropout is never used; with a CLIP it
clips gradients at 0.001 while they are still multiplied by the loss scale of mixed precision, so
that the size and the mapping barely move. None of this is done here: gradients are not clipped, and
the epoch is chosen on a tenth of the training data. There the frame ends at the size rounded to
whole pixels and is added to what the image leaves of the last one; here it begins where nothing of
the image is. Images are resampled from 224 pixels, not from 128, and their size is a share of 224,
not of 128. Not yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The authors' settings for vision models."""
    config = base.default()
    config.tune = ("prompt", "head")
    config.backbone.name = "resnet18"
    config.head.name = "fully_connected"
    config.prompt = "border(resize, bounded=True) | normalize"
    config.batch_size = 128
    config.epochs = 200
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 0.001
    config.schedule.name = "drops"
    return config
