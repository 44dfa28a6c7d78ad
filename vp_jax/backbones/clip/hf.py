"""CLIP in the tensor names of Hugging Face transformers' `CLIPModel`.

The names are those of https://huggingface.co/openai/clip-vit-base-patch32, and of transformers 4
and 5: queries, keys and values apart, and `pre_layrnorm`, sic. There is no ResNet in this layout.
"""

from __future__ import annotations

import numpy as np

from vp_jax.backbones.clip.sizes import ClipSize
from vp_jax.backbones.weights.rules import PATCHES, dense_rules, layer_norm_rules
from vp_jax.backbones.weights.table import TRANSPOSE, Rule, Shape, Table, Transform

# Three [width, width] -> one [width, 3 * width], and three [width] -> one [3 * width].
FUSED_KERNEL = Transform(
    lambda shape: ((shape[0], shape[0]),) * 3,
    lambda q, k, v: np.concatenate([q, k, v]).T,
    lambda x: tuple(np.split(x.T, 3)),
)
FUSED_BIAS = Transform(
    lambda shape: ((shape[0] // 3,),) * 3,
    lambda q, k, v: np.concatenate([q, k, v]),
    lambda x: tuple(np.split(x, 3)),
)


def _block_rules(target: str, source: str) -> tuple[Rule, ...]:
    target, source = rf"{target}/blocks_(\d+)", rf"{source}.encoder.layers.\1"
    qkv = [f"{source}.self_attn.{x}_proj" for x in "qkv"]
    return (
        Rule(f"{target}/attn/qkv_kernel", tuple(f"{x}.weight" for x in qkv), FUSED_KERNEL),
        Rule(f"{target}/attn/qkv_bias", tuple(f"{x}.bias" for x in qkv), FUSED_BIAS),
        *dense_rules(f"{target}/attn/out", f"{source}.self_attn.out_proj"),
        *layer_norm_rules(f"{target}/ln_1", f"{source}.layer_norm1"),
        *layer_norm_rules(f"{target}/ln_2", f"{source}.layer_norm2"),
        *dense_rules(f"{target}/mlp_fc", f"{source}.mlp.fc1"),
        *dense_rules(f"{target}/mlp_proj", f"{source}.mlp.fc2"),
    )


_VISION = "vision_model.embeddings"
_TEXT = "text_model.embeddings"

HF = Table(
    name="Hugging Face",
    rules=(
        Rule("logit_scale", ("logit_scale",)),
        Rule("visual/patch_embedding/kernel", (f"{_VISION}.patch_embedding.weight",), PATCHES),
        Rule("visual/class_embedding", (f"{_VISION}.class_embedding",)),
        Rule("visual/positional_embedding", (f"{_VISION}.position_embedding.weight",)),
        *layer_norm_rules("visual/ln_pre", "vision_model.pre_layrnorm"),
        *_block_rules("visual", "vision_model"),
        *layer_norm_rules("visual/ln_post", "vision_model.post_layernorm"),
        Rule("visual/proj/kernel", ("visual_projection.weight",), TRANSPOSE),
        Rule("text/token_embedding/embedding", (f"{_TEXT}.token_embedding.weight",)),
        Rule("text/positional_embedding", (f"{_TEXT}.position_embedding.weight",)),
        *_block_rules("text", "text_model"),
        *layer_norm_rules("text/ln_final", "text_model.final_layer_norm"),
        Rule("text/proj/kernel", ("text_projection.weight",), TRANSPOSE),
    ),
    ignored=(r".*\.position_ids",),
)


def signature(size: ClipSize) -> dict[str, Shape]:
    """The few tensors, with their shapes, that tell this size of CLIP from the others."""
    if size.vit is None:
        return {}
    blocks, patch = size.vit
    rows, width = size.image_size // patch, size.vision_width
    return {
        "text_projection.weight": (size.embed_dim, size.text_width),
        f"{_VISION}.patch_embedding.weight": (width, 3, patch, patch),
        f"{_VISION}.position_embedding.weight": (rows**2 + 1, width),
        f"vision_model.encoder.layers.{blocks - 1}.layer_norm1.weight": (width,),
    }
