"""ResNets in torchvision's tensor names, which timm and facebookresearch/WSL-Images share."""

from __future__ import annotations

from vp_jax.backbones.weight_rules import dense_rules, folded_rules
from vp_jax.backbones.weight_table import Rule, Table

COUNTERS = r".*\.num_batches_tracked"  # of batch normalisations; needed for training only


def stage_rules(stage: int) -> tuple[Rule, ...]:
    """The convolutions of all blocks of a stage, the first being 0."""
    target, source = rf"visual/stage_{stage}_block_(\d+)", rf"layer{stage + 1}.\1"
    return (
        *folded_rules(rf"{target}/conv([123])", rf"{source}.conv\2", rf"{source}.bn\2"),
        *folded_rules(f"{target}/downsample", f"{source}.downsample.0", f"{source}.downsample.1"),
    )


TORCHVISION = Table(
    name="torchvision",
    rules=(
        *folded_rules("visual/conv1", "conv1", "bn1"),
        *(rule for stage in range(4) for rule in stage_rules(stage)),
        *dense_rules("classifier", "fc"),
    ),
    ignored=(COUNTERS,),
)
