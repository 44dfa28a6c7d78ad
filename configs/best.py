"""The recipe: the linear probe, and a value for every pixel that learns with it.

    python -m vp_jax.train --config=configs/best.py --config.task.name=folder \
        --config.task.data_dir=my_images --workdir=runs/mine

Before the first step a linear head is fitted to the frozen features of the images without a prompt
(`start.head`): that is the linear probe. It is evaluated as step 0, so that a run does not end
below it on val. Then a value for every pixel and the head learn together by Adam, both fast.

CLIP ViT-B/32 by default; any model by `--config.backbone.name`. How it compares with the other
methods, and with other recipes: `docs/methods.md`.
"""

from vp_jax import config as base


def get_config():
    """One recipe for all tasks."""
    config = base.default()
    config.tune = ("prompt", "head")
    config.prompt = "normalize | full(init='zeros')"
    config.head.name = "linear"
    config.start.head = True
    config.batch_size = 16
    config.epochs = 10
    config.optimizer.name = "adam"
    config.optimizer.learning_rates.prompt = 3e-2
    config.optimizer.learning_rates.head = 1e-2
    config.schedule.warmup_steps = 100
    return config
