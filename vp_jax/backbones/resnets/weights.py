"""ResNets in torchvision's tensor names, which timm and facebookresearch/WSL-Images share."""

from __future__ import annotations

from vp_jax.backbones.weights.rules import dense_rules, folded_rules, stage_rules
from vp_jax.backbones.weights.table import Table

COUNTERS = r".*\.num_batches_tracked"  # of batch normalisations; needed for training only


TORCHVISION = Table(
    name="torchvision",
    rules=(
        *folded_rules("visual/conv1", "conv1", "bn1"),
        *(rule for stage in range(4) for rule in stage_rules(stage)),
        *dense_rules("classifier", "fc"),
    ),
    ignored=(COUNTERS,),
)
