"""DAM-VP's start: a padding prompt meta-learned on several tasks, CLIP ViT-B/32.

    python -m vp_jax.train_start --config=configs/methods/dam_vp_start.py \\
        --tasks=sun397,oxford_pets,eurosat --workdir=runs/start
    python -m vp_jax.train --config=configs/methods/dam_vp.py --config.start.from_run=runs/start

Huang et al., "Diversity-Aware Meta Visual Prompting" (CVPR 2023, arXiv 2303.08138): Reptile over
SUN397, STL10, Fru92, Veg200, Pets and EuroSAT, of which the second to fourth are folders of
images here. Every task makes 4 to 8 steps of SGD with a rate of 0.5 to 1 from the prompt, on
normalised pixels, which then moves half of the way to what they have, for 200 epochs; here there
are 200 rounds of six steps of batch 128 at a rate of 1, in each of which it moves to the mean of
all tasks. Their classes are the features that vary most, here they are the tasks' texts. Not yet
measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The authors' inner steps."""
    config = base.default()
    config.prompt = "normalize | pad(30)"
    config.task.name = "eurosat"
    config.batch_size = 128
    config.optimizer.learning_rate = 1.0
    config.optimizer.momentum = 0.0
    config.schedule.name = "constant"
    return config
