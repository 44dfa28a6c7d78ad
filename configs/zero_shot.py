"""The baseline TP: CLIP with a text prompt and nothing trained, CIFAR100.

    python -m vp_jax.train --config=configs/zero_shot.py --workdir=runs/zero_shot
    python -m vp_jax.train --config=configs/zero_shot.py --workdir=runs/zero_shot_templates \
        --config.head.templates="('a photo of a {}.', 'a blurry photo of a {}.')"
    python -m vp_jax.train --config=configs/zero_shot.py --workdir=runs/zero_shot_rn50 \
        --config.backbone.name=resnet50 --config.head.name=frequency

Evaluates the test split once and writes `result.json`. Several templates average their text
features. A vision model is classified by an output mapping; one that is fitted, such as
`frequency`, is fitted to the training images and written to `mapping.csv`.

Bahng et al. 2022 (arXiv 2203.17274) call this TP. Not yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The paper's protocol with no part that trains."""
    config = base.default()
    config.tune = ()
    return config
