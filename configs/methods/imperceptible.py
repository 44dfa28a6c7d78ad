"""A prompt that people do not see: every pixel within 8 grey levels, CLIP ViT-B/32, CIFAR100.

    python -m vp_jax.train --config=configs/methods/imperceptible.py --workdir=runs/imperceptible

A value for every pixel, zero at first, which may change none by more than 8 of 255, the
bound of adversarial examples (Madry et al., arXiv 1706.06083), and no image beyond black
and white. The projection is in the forward pass, so that any optimiser will do; Adam with
learning rate 0.002, half a grey level a step, is ours, and so is the number of epochs.
`--config.prompt="within(full(init='zeros') | clip, 128, norm='l2') | normalize"` bounds the
length of the change instead, and `--config.penalties.visibility=0.1` what shows of it. Not
yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """Every pixel, within 8 grey levels."""
    config = base.default()
    config.prompt = "within(full(init='zeros') | clip, 8) | normalize"
    config.epochs = 100
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 0.002
    config.schedule.warmup_steps = 0
    return config
