"""CIFAR ResNets in the tensor names of https://github.com/akamaster/pytorch_resnet_cifar10."""

from __future__ import annotations

from vp_jax.backbones.resnets.cifar import STAGES
from vp_jax.backbones.resnets.weights import COUNTERS
from vp_jax.backbones.weights.rules import dense_rules, folded_rules, stage_rules
from vp_jax.backbones.weights.table import Table

PYTORCH_RESNET_CIFAR10 = Table(
    name="pytorch_resnet_cifar10",
    rules=(
        *folded_rules("visual/conv1", "conv1", "bn1"),
        *(rule for stage in range(STAGES) for rule in stage_rules(stage)),
        *dense_rules("classifier", "linear"),
    ),
    ignored=(COUNTERS,),
)
