"""A visual prompt in a minute, offline: the embedded CLIP learns to read handwritten digits.

    python -m vp_jax.train --config=configs/quickstart.py

`clip_tiny` travels with the package and has never seen a digit. A border of 4 pixels around its
32 x 32 input (1,344 parameters; 56 % of the image stays uncovered) is trained on 1,168 of
scikit-learn's bundled digits, chosen on 129 held-out ones and tested once on 500 others.
"""

from vp_jax import config as base


def get_config():
    """The paper's protocol, scaled down to one minute on two CPU cores."""
    config = base.default()
    config.backbone.name = "clip_tiny"
    config.task.name = "digits"
    config.prompt.size = 4
    config.batch_size = 64
    config.epochs = 30
    config.optimizer.learning_rate = 10.0
    config.schedule.warmup_steps = 30
    return config
