"""DAM-VP's start: a padding prompt meta-learned on several tasks, CLIP ViT-B/32.

    python -m vp_jax.train_start --config=configs/methods/dam_vp_start.py \\
        --tasks=sun397,oxford_pets,eurosat --workdir=runs/start
    python -m vp_jax.train --config=configs/methods/dam_vp.py --config.start.from_run=runs/start

Huang et al., "Diversity-Aware Meta Visual Prompting" (CVPR 2023, arXiv 2303.08138): Reptile over
SUN397, STL10, Fru92, Veg200, Pets and EuroSAT, of which the second to fourth are folders of
images here. Every task makes some steps from the prompt, on normalised pixels, which then moves
half of the way to the mean of what they have. In the released code these are 4 steps of Adam, all
on one batch, with a rate of 1 for a CLIP and 0.5 for others, which falls to zero by a cosine over
200 epochs; only where a head is trained as well are they of SGD. Here there are 200 rounds of
batches of 128, a new one for every step, the rate stays, and `--steps=4` are theirs. There every
cluster of a task counts as a task, here a task does. Their classes are the features that vary most,
here they are the tasks' texts. Not yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The authors' steps of a task, for a CLIP."""
    config = base.default()
    config.prompt = "normalize | pad(30)"
    config.task.name = "eurosat"
    config.batch_size = 128
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 1.0
    config.schedule.name = "constant"
    return config
