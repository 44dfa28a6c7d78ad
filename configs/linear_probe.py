"""The baseline LP: a linear layer on the frozen image features of CLIP, CIFAR100.

    python -m vp_jax.train --config=configs/linear_probe.py --workdir=runs/linear_probe
    python -m vp_jax.train --config=configs/clip_pad.py --workdir=runs/prompt_on_probe \
        --config.head.name=linear --config.head.from_run=runs/linear_probe

The features of every image are computed once; L-BFGS solves multinomial logistic regression on them
for up to 15 strengths of regularisation, and the validation split chooses one (Radford et al. 2021,
arXiv 2103.00020, appendix A.3). Small problems go to scikit-learn, large ones to optax on the
device; `--config.head.solver=sgd` trains the layer by steps instead, with the optimiser's settings
and any augmentation. Any backbone will do: `--config.backbone.name=resnet50`.

The second command learns a prompt on top of the finished probe.

Bahng et al. 2022 (arXiv 2203.17274) call this LP. Not yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The paper's protocol with a linear layer in place of the prompt."""
    config = base.default()
    config.tune = ("head",)
    config.head.name = "linear"
    return config
