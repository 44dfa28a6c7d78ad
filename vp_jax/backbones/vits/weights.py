"""ViT and DeiT in the tensor names of timm, and ViT in those of Google's `.npz` files.

timm's names, https://github.com/huggingface/pytorch-image-models, are DeiT's own too. Google's are
those of https://github.com/google-research/vision_transformer, where queries, keys and values are
apart and the heads have an axis of their own. Google's code computes the tanh approximation of
GELU, timm and this library the exact one: it moves logits of DeiT-Tiny by up to 0.03.
"""

from __future__ import annotations

import functools

from vp_jax.backbones.weights.rules import (
    NHWC_PATCHES,
    PATCHES,
    as_named,
    dense_rules,
    layer_norm_rules,
    merged_heads,
    split_heads,
)
from vp_jax.backbones.weights.table import TRANSPOSE, Rule, Table, Transform

_BLOCK = r"visual/blocks_(\d+)"

# [1, 1, width] -> [width]; [1, tokens, width] -> [tokens, width].
CLASS_TOKEN = Transform(
    lambda shape: ((1, 1, *shape),), lambda x: x[0, 0], lambda x: (x[None, None],)
)
POSITIONS = Transform(lambda shape: ((1, *shape),), lambda x: x[0], lambda x: (x[None],))

TIMM = Table(
    name="timm",
    rules=(
        Rule("visual/patch_embedding/kernel", ("patch_embed.proj.weight",), PATCHES),
        Rule("visual/patch_embedding/bias", ("patch_embed.proj.bias",)),
        Rule("visual/class_embedding", ("cls_token",), CLASS_TOKEN),
        Rule("visual/positional_embedding", ("pos_embed",), POSITIONS),
        Rule(f"{_BLOCK}/attn/qkv_kernel", (r"blocks.\1.attn.qkv.weight",), TRANSPOSE),
        Rule(f"{_BLOCK}/attn/qkv_bias", (r"blocks.\1.attn.qkv.bias",)),
        *dense_rules(f"{_BLOCK}/attn/out", r"blocks.\1.attn.proj"),
        *layer_norm_rules(f"{_BLOCK}/ln_1", r"blocks.\1.norm1"),
        *layer_norm_rules(f"{_BLOCK}/ln_2", r"blocks.\1.norm2"),
        *dense_rules(f"{_BLOCK}/mlp_fc", r"blocks.\1.mlp.fc1"),
        *dense_rules(f"{_BLOCK}/mlp_proj", r"blocks.\1.mlp.fc2"),
        *layer_norm_rules("visual/ln_post", "norm"),
        *dense_rules("classifier", "head"),
    ),
)


@functools.cache
def google(head_width: int) -> Table:
    """The table of Google's names.

    Args:
      head_width: length of one head's queries, which the shapes of this library do not tell.
    """
    block = r"Transformer/encoderblock_\1"
    attention = f"{block}/MultiHeadDotProductAttention_1"
    qkv = [f"{attention}/{name}" for name in ("query", "key", "value")]
    fused = split_heads(3, head_width)
    return Table(
        name="Google",
        rules=(
            Rule("visual/patch_embedding/kernel", ("embedding/kernel",), NHWC_PATCHES),
            Rule("visual/patch_embedding/bias", ("embedding/bias",)),
            Rule("visual/class_embedding", ("cls",), CLASS_TOKEN),
            Rule(
                "visual/positional_embedding",
                ("Transformer/posembed_input/pos_embedding",),
                POSITIONS,
            ),
            Rule(f"{_BLOCK}/attn/qkv_kernel", tuple(f"{name}/kernel" for name in qkv), fused),
            Rule(f"{_BLOCK}/attn/qkv_bias", tuple(f"{name}/bias" for name in qkv), fused),
            Rule(
                f"{_BLOCK}/attn/out/kernel", (f"{attention}/out/kernel",), merged_heads(head_width)
            ),
            Rule(f"{_BLOCK}/attn/out/bias", (f"{attention}/out/bias",)),
            *as_named(f"{_BLOCK}/ln_1", f"{block}/LayerNorm_0", "scale", "bias"),
            *as_named(f"{_BLOCK}/ln_2", f"{block}/LayerNorm_2", "scale", "bias"),
            *as_named(f"{_BLOCK}/mlp_fc", f"{block}/MlpBlock_3/Dense_0", "kernel", "bias"),
            *as_named(f"{_BLOCK}/mlp_proj", f"{block}/MlpBlock_3/Dense_1", "kernel", "bias"),
            *as_named("visual/ln_post", "Transformer/encoder_norm", "scale", "bias"),
            *as_named("classifier", "head", "kernel", "bias"),
        ),
    )
