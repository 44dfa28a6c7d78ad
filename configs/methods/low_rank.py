"""LoR-VP: a prompt of rank 4 in every channel and a linear head, ViT-B/32, CIFAR100.

    python -m vp_jax.train --config=configs/methods/low_rank.py --workdir=runs/low_rank

Jin et al., "LoR-VP: Low-Rank Visual Prompting for Efficient Vision Model Adaptation" (ICLR 2025,
arXiv 2502.00896): B A is added to the pixels of every channel, B zeros and A normal with standard
deviation 0.01 at first, 5,376 numbers; the linear head learns along. SGD with learning rate 0.02,
momentum 0.9 and weight decay 1e-4, a cosine over 20 epochs of batch 256, no augmentation.

The released script accepts the option `lor_vp` and builds the prompt if it is `LoR_VP`, so that
what it trains is the head alone; and it keeps the epoch that is best on the test data. Here the
prompt is there, and the epoch is chosen on a tenth of the training data. What the prompt adds to
the head is seen against `--config.tune=head --config.head.solver=sgd`. Not yet measured with this
code.
"""

from vp_jax import config as base


def get_config():
    """The authors' settings."""
    config = base.default()
    config.tune = ("prompt", "head")
    config.backbone.name = "vit_b32"
    config.prompt = "low_rank(4) | normalize"
    config.head.name = "linear"
    config.epochs = 20
    config.optimizer.learning_rate = 0.02
    config.optimizer.weight_decay = 1e-4
    config.schedule.warmup_steps = 0
    return config
