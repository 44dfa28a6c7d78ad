"""CLIP's parameter tree of this library in the names of scenic's own Flax modules.

The names are those of `scenic.projects.baselines.clip.layers`, a module of
https://github.com/google-research/scenic. Paths are joined by `/`; the dot in `resblocks.0` is
part of a name. The table is used backwards, by `weight_table.to_state_dict`. A ResNet's folded
batch normalisation leaves a kernel and a bias: scenic's BatchNorm gets the bias, and is the
identity otherwise.
"""

from __future__ import annotations

from vp_jax.backbones.clip.sizes import ClipSize
from vp_jax.backbones.weights.rules import NHWC_PATCHES, as_named, merged_heads, split_heads
from vp_jax.backbones.weights.table import Rule, Table

_QKV = ("query", "key", "value")


def table(size: ClipSize) -> Table:
    """The table of one size of CLIP, whose widths of heads the shapes do not tell."""
    pool = 32 if size.patch_size is None else 1  # a ResNet's attention pool is 32 times wider
    vision_head_width = pool * size.vision_width // size.vision_heads
    return Table(
        name="scenic",
        rules=(
            Rule("logit_scale", ("logit_scale",)),
            # image tower: vision transformer
            Rule("visual/patch_embedding/kernel", ("visual/conv1/kernel",), NHWC_PATCHES),
            Rule("visual/(class|positional)_embedding", (r"visual/\1_embedding",)),
            *as_named("visual/ln_(pre|post)", r"visual/ln_\1", "scale", "bias"),
            *_block_rules("visual", vision_head_width),
            *as_named("visual/proj", "visual/proj", "kernel"),
            # image tower: ModifiedResNet
            *_conv_rules("visual/conv([123])", r"visual/conv\1", r"visual/bn\1"),
            *(rule for stage in range(4) for rule in _stage_rules(stage)),
            *_pool_rules(vision_head_width),
            # text tower
            *as_named("text/token_embedding", "text/token_embedding", "embedding"),
            *as_named("text", "text", "positional_embedding"),
            *_block_rules("text", size.text_width // size.text_heads),
            *as_named("text/ln_final", "text/ln_final", "scale", "bias"),
            *as_named("text/proj", "text/text_projection", "kernel"),
        ),
    )


def _block_rules(tower: str, head_width: int) -> tuple[Rule, ...]:
    target, source = rf"{tower}/blocks_(\d+)", rf"{tower}/transformer/resblocks.\1"
    fused = split_heads(3, head_width)
    return (
        *(
            Rule(
                f"{target}/attn/qkv_{param}",
                tuple(f"{source}/attn/{name}/{param}" for name in _QKV),
                fused,
            )
            for param in ("kernel", "bias")
        ),
        Rule(f"{target}/attn/out/kernel", (f"{source}/attn/out/kernel",), merged_heads(head_width)),
        *as_named(f"{target}/attn/out", f"{source}/attn/out", "bias"),
        *as_named(f"{target}/ln_([12])", rf"{source}/ln_\2", "scale", "bias"),
        *as_named(f"{target}/mlp_(fc|proj)", rf"{source}/mlp/c_\2", "kernel", "bias"),
    )


def _conv_rules(target: str, conv: str, norm: str) -> tuple[Rule, ...]:
    return (
        Rule(f"{target}/kernel", (f"{conv}/kernel",)),
        Rule(f"{target}/bias", (f"{norm}/bias",)),
    )


def _stage_rules(stage: int) -> tuple[Rule, ...]:
    target, source = rf"visual/stage_{stage}_block_(\d+)", rf"visual/layer{stage + 1}/\1"
    return (
        *_conv_rules(f"{target}/conv([123])", rf"{source}/conv\2", rf"{source}/bn\2"),
        *_conv_rules(f"{target}/downsample", f"{source}/downsample/0", f"{source}/downsample/1"),
    )


def _pool_rules(head_width: int) -> tuple[Rule, ...]:
    target, source = "visual/attnpool", "visual/attnpool"
    one = split_heads(1, head_width)
    return (
        *as_named(target, source, "positional_embedding"),
        *(
            Rule(f"{target}/(query|key|value)/{param}", (rf"{source}/attn/\1/{param}",), one)
            for param in ("kernel", "bias")
        ),
        Rule(f"{target}/out/kernel", (f"{source}/attn/out/kernel",), merged_heads(head_width)),
        *as_named(f"{target}/out", f"{source}/attn/out", "bias"),
    )
