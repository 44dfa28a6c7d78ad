"""CLIP in OpenAI's tensor names, which open_clip and `open_clip_model.safetensors` share.

The names are those of the state dict of https://github.com/openai/CLIP. The image tower is a
vision transformer or a ModifiedResNet, whose batch normalisation is folded into the convolution
before it.
"""

from __future__ import annotations

from vp_jax.backbones.clip.sizes import ClipSize
from vp_jax.backbones.weights.rules import (
    PATCHES,
    dense_rules,
    folded_rules,
    layer_norm_rules,
    stage_rules,
)
from vp_jax.backbones.weights.table import IDENTITY, TRANSPOSE, Rule, Shape, Table


def _block_rules(target: str, source: str) -> tuple[Rule, ...]:
    target, source = rf"{target}/blocks_(\d+)", rf"{source}.resblocks.\1"
    return (
        Rule(f"{target}/attn/qkv_kernel", (f"{source}.attn.in_proj_weight",), TRANSPOSE),
        Rule(f"{target}/attn/qkv_bias", (f"{source}.attn.in_proj_bias",)),
        *dense_rules(f"{target}/attn/out", f"{source}.attn.out_proj"),
        *layer_norm_rules(f"{target}/ln_1", f"{source}.ln_1"),
        *layer_norm_rules(f"{target}/ln_2", f"{source}.ln_2"),
        *dense_rules(f"{target}/mlp_fc", f"{source}.mlp.c_fc"),
        *dense_rules(f"{target}/mlp_proj", f"{source}.mlp.c_proj"),
    )


OPENAI = Table(
    name="OpenAI",
    rules=(
        Rule("logit_scale", ("logit_scale",)),
        # image tower: vision transformer
        Rule("visual/patch_embedding/kernel", ("visual.conv1.weight",), PATCHES),
        Rule("visual/class_embedding", ("visual.class_embedding",)),
        Rule("visual/positional_embedding", ("visual.positional_embedding",)),
        *layer_norm_rules("visual/ln_pre", "visual.ln_pre"),
        *_block_rules("visual", "visual.transformer"),
        *layer_norm_rules("visual/ln_post", "visual.ln_post"),
        Rule("visual/proj/kernel", ("visual.proj",), IDENTITY),
        # image tower: ModifiedResNet
        *folded_rules(r"visual/conv([123])", r"visual.conv\1", r"visual.bn\1"),
        *(rule for stage in range(4) for rule in stage_rules(stage, "visual.")),
        Rule("visual/attnpool/positional_embedding", ("visual.attnpool.positional_embedding",)),
        *dense_rules("visual/attnpool/query", "visual.attnpool.q_proj"),
        *dense_rules("visual/attnpool/key", "visual.attnpool.k_proj"),
        *dense_rules("visual/attnpool/value", "visual.attnpool.v_proj"),
        *dense_rules("visual/attnpool/out", "visual.attnpool.c_proj"),
        # text tower
        Rule("text/token_embedding/embedding", ("token_embedding.weight",)),
        Rule("text/positional_embedding", ("positional_embedding",)),
        *_block_rules("text", "transformer"),
        *layer_norm_rules("text/ln_final", "ln_final"),
        Rule("text/proj/kernel", ("text_projection",), IDENTITY),
    ),
    ignored=(
        r".*\.num_batches_tracked",
        r"input_resolution|context_length|vocab_size",
        r"(.*\.)?attn_mask",
    ),
)


def signature(size: ClipSize) -> dict[str, Shape]:
    """The few tensors, with their shapes, that tell this size of CLIP from the others."""
    text: dict[str, Shape] = {"text_projection": (size.text_width, size.embed_dim)}
    width = size.vision_width
    if size.vit is None:
        rows = size.image_size // 32
        last: dict[str, Shape] = {
            f"visual.layer{stage + 1}.{blocks - 1}.bn1.weight": (width * 2**stage,)
            for stage, blocks in enumerate(size.stages)
        }
        return text | last | {"visual.attnpool.positional_embedding": (rows**2 + 1, 32 * width)}
    blocks, patch = size.vit
    rows = size.image_size // patch
    return text | {
        "visual.conv1.weight": (width, 3, patch, patch),
        "visual.positional_embedding": (rows**2 + 1, width),
        f"visual.transformer.resblocks.{blocks - 1}.ln_1.weight": (width,),
    }
