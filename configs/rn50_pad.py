"""The paper's vision model: padding of 30 pixels for an ImageNet ResNet-50, CIFAR100.

    python -m vp_jax.train --config=configs/rn50_pad.py --workdir=runs/rn50_pad
    python -m vp_jax.train --config=configs/rn50_pad.py --workdir=runs/rn50_iterative \
        --config.head.name=iterative

Downstream class i is ImageNet class i, as in the paper (`first_k`); `--config.head.name` takes any
other output mapping: random, frequency, iterative, bayesian, bayesian_plus, semantic,
fully_connected (with `--config.tune=prompt,head`), or fixed with a `--config.head.table`.
`mapping.csv` in the run's folder says which class stands for which.

Weights (100 MB) come from the Hugging Face Hub, `timm/resnet50.tv_in1k`, which are torchvision's;
`--config.backbone.weights=PATH` takes a local copy in either's tensor names.

Bahng et al. 2022 (arXiv 2203.17274): batch 128, everything else as in `configs/clip_pad.py`. Not
yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The paper's protocol for vision models."""
    config = base.default()
    config.backbone.name = "resnet50"
    config.head.name = "first_k"
    config.batch_size = 128
    return config
