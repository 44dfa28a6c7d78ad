"""The recipe: every pixel trains with a new linear head that begins as the linear probe.

    python -m vp_jax.train --config=configs/best.py --config.task.name=folder \
        --config.task.data_dir=my_images --workdir=runs/mine

The head is fitted to the frozen features of the images with a prompt of zeros before the first step
(`start.head`), which is the linear probe, and is evaluated: the run does not end below it on val.
Then a value for every pixel and the head learn together by Adam, the head slowly.

CLIP ViT-B/32 by default; any model by `--config.backbone.name`. How it compares with the other
methods: `python -m experiments.run methods`. Not yet measured with this code.
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
    config.optimizer.learning_rates.prompt = 1e-3
    config.optimizer.learning_rates.head = 1e-3
    config.schedule.warmup_steps = 100
    return config
