"""BiT in the tensor names of timm, and in those of Google's `.npz` files.

timm's names are those of `ResNetV2` in https://github.com/huggingface/pytorch-image-models,
Google's those of https://github.com/google-research/big_transfer. The classifier is a 1 x 1
convolution in both, and is read from the file like everything else.
"""

from __future__ import annotations

import functools

from vp_jax.backbones.weights.rules import layer_norm_rules
from vp_jax.backbones.weights.table import Rule, Table, Transform

# Convolution [out, in, h, w] -> [h, w, in, out].
CONV = Transform(
    lambda shape: (shape[:1:-1] + shape[:2],),
    lambda x: x.transpose(2, 3, 1, 0),
    lambda x: (x.transpose(3, 2, 0, 1),),
)
# 1 x 1 convolution -> Dense [in, out]: from [out, in, 1, 1], and from [1, 1, in, out].
CONV_TO_DENSE = Transform(
    lambda shape: ((*shape[::-1], 1, 1),),
    lambda x: x[:, :, 0, 0].T,
    lambda x: (x.T[:, :, None, None],),
)
NHWC_CONV_TO_DENSE = Transform(
    lambda shape: ((1, 1, *shape),), lambda x: x[0, 0], lambda x: (x[None, None],)
)

_TARGET, _SOURCE = r"visual/stage_(\d+)_block_(\d+)", r"stages.\1.blocks.\2"

TIMM = Table(
    name="timm",
    rules=(
        Rule("visual/root_conv/kernel", ("stem.conv.weight",), CONV),
        Rule(f"{_TARGET}/conv([123])/kernel", (rf"{_SOURCE}.conv\3.weight",), CONV),
        Rule(f"{_TARGET}/downsample/kernel", (f"{_SOURCE}.downsample.conv.weight",), CONV),
        *layer_norm_rules(f"{_TARGET}/norm([123])", rf"{_SOURCE}.norm\3"),
        *layer_norm_rules("visual/norm", "norm"),
        Rule("classifier/kernel", ("head.fc.weight",), CONV_TO_DENSE),
        Rule("classifier/bias", ("head.fc.bias",)),
    ),
)


@functools.cache
def google(layers: tuple[int, ...]) -> Table:
    """The table of Google's names, which count stages and blocks from 1.

    Args:
      layers: number of blocks of each stage.
    """
    units = [(stage, block) for stage, blocks in enumerate(layers) for block in range(blocks)]
    return Table(
        name="Google",
        rules=(
            Rule("visual/root_conv/kernel", ("resnet/root_block/standardized_conv2d/kernel",)),
            *(rule for unit in units for rule in _unit_rules(*unit)),
            *_group_norm_rules("visual/norm", "resnet/group_norm"),
            Rule("classifier/kernel", ("resnet/head/conv2d/kernel",), NHWC_CONV_TO_DENSE),
            Rule("classifier/bias", ("resnet/head/conv2d/bias",)),
        ),
    )


def _unit_rules(stage: int, block: int) -> tuple[Rule, ...]:
    target = f"visual/stage_{stage}_block_{block}"
    source = f"resnet/block{stage + 1}/unit{block + 1:02d}"
    rules = [Rule(f"{target}/downsample/kernel", (f"{source}/a/proj/standardized_conv2d/kernel",))]
    for number, letter in enumerate("abc", 1):
        kernel = f"{source}/{letter}/standardized_conv2d/kernel"
        rules.append(Rule(f"{target}/conv{number}/kernel", (kernel,)))
        rules += _group_norm_rules(f"{target}/norm{number}", f"{source}/{letter}/group_norm")
    return tuple(rules)


def _group_norm_rules(target: str, source: str) -> tuple[Rule, ...]:
    return (
        Rule(f"{target}/scale", (f"{source}/gamma",)),
        Rule(f"{target}/bias", (f"{source}/beta",)),
    )
