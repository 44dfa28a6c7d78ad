"""DAM-VP: a padding prompt for each cluster of images, CLIP ViT-B/32, CIFAR100.

    python -m vp_jax.train --config=configs/methods/dam_vp.py --workdir=runs/dam_vp

Huang et al., "Diversity-Aware Meta Visual Prompting" (CVPR 2023, arXiv 2303.08138): 1,000
training images are clustered by the frozen features, with average linkage, and an image has
the prompt of the nearest mean. Padding of 30 normalised pixels, SGD with momentum 0.9, 50
epochs of batch 128, of which a fifth is warm-up, then a cosine.

The authors cut the tree of clusters at a distance that they choose for every backbone and
data set; here the number of clusters is said. Their learning rate of 10,000 is for classes
made of the features that vary most; with the texts of the classes it is that of padding,
40. What they learn on six other tasks first is made by `python -m vp_jax.train_start` with
`dam_vp_start.py`; `--config.start.from_run` lets the prompts of all clusters begin with it.
Without it, `python -m vp_jax.train_many` over several `k` shows what the clusters alone bring.
In the released code the momentum of the
head is misspelt, so that it has none, and its learning rate is overwritten by the prompt's;
no head trains here. Not yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The authors' settings, without their head; a start is to be given."""
    config = base.default()
    config.prompt = "normalize | cluster(pad(30), 16, by='average')"
    config.batch_size = 128
    config.epochs = 50
    config.schedule.warmup_steps = 3500  # a fifth of the steps
    return config
