"""Three padding prompts that answer together, CLIP ViT-B/32, CIFAR100.

    python -m vp_jax.train --config=configs/methods/ensemble.py --workdir=runs/ensemble

The paper's padding (Bahng et al. 2022, arXiv 2203.17274), three times from three starts, trained
together: the loss is that of the mean of their probabilities. A step costs as much as three;
`--config.prompt="normalize | ensemble(pad(30), 3, by='confidence')"` weighs them by how sure
each is. Prompts that are trained apart are put together by `vp_jax.ensemble`. Not yet measured
with this code.
"""

from vp_jax import config as base


def get_config():
    """The paper's settings with three prompts."""
    config = base.default()
    config.prompt = "normalize | ensemble(pad(30), 3)"
    return config
