"""Models that are not here are named by what only they have; those that are here never."""

import jax
import numpy as np
import pytest

from vp_jax.backbones import classifier
from vp_jax.backbones.clip import params as clip_params
from vp_jax.backbones.clip.sizes import SIZES
from vp_jax.backbones.loading.classifiers import CLASSIFIERS
from vp_jax.backbones.loading.other_models import recognise, size

BLOCK = ("norm1.weight", "attn.qkv.weight", "attn.proj.weight", "mlp.fc1.weight")
VIT = ("cls_token", "patch_embed.proj.weight", *(f"blocks.0.{name}" for name in BLOCK))

NAMED = {  # a few names of each, as their programs write them
    "SigLIP": ("logit_bias", "visual.trunk.attn_pool.latent", "visual.trunk.pos_embed"),
    "SigLIP ": ("vision_model.head.probe", "vision_model.embeddings.patch_embedding.weight"),
    "SigLIP  ": ("params/img/MAPHead_0/probe", "params/img/embedding/kernel"),
    "SigLIP   ": ("pos_embed", "attn_pool.latent", "attn_pool.kv.weight"),
    "Perception Encoder": ("norm_pre.weight", "attn_pool.latent", *VIT),
    "EVA": ("visual.trunk.blocks.0.attn.q_bias", "visual.trunk.blocks.0.attn.qkv.weight"),
    "EVA ": (*VIT, "blocks.0.mlp.fc1_g.weight", "blocks.0.attn.q_proj.weight"),
    "EVA  ": ("visual.blocks.0.attn.inner_attn_ln.weight", "visual.rope.freqs_cos"),
    "AIMv2": ("patch_embed.norm.weight", "blocks.0.mlp.fc1_g.weight"),
    "CoCa": ("text.cls_emb", "text_decoder.resblocks.0.ln_1.weight", "visual.conv1.weight"),
    "BLIP": ("visual_encoder.cls_token", "text_decoder.bert.embeddings.word_embeddings.weight"),
    "MobileCLIP": ("visual.trunk.stages.0.blocks.0.token_mixer.norm.identity.weight",),
    "MobileCLIP ": ("image_encoder.model.patch_embed.0.rbr_conv.0.conv.weight",),
    "MobileCLIP  ": ("visual.trunk.patch_embed.backbone.0.conv.weight",),
    "DINOv2": (*VIT, "mask_token", "blocks.0.ls1.gamma"),
    "DINOv2 ": ("embeddings.mask_token", "encoder.layer.0.layer_scale1.lambda1"),
    "DINOv3": (*VIT, "storage_tokens", "blocks.0.ls1.gamma"),
    "DeiT III": (*VIT, "blocks.0.gamma_1", "blocks.0.gamma_2"),
    "DeiT, the distilled": (*VIT, "dist_token", "head_dist.weight"),
    "MAE": (*VIT, "mask_token", "decoder_embed.weight", "decoder_blocks.0.norm1.weight"),
    "BEiT": (*VIT, "blocks.0.attn.q_bias", "blocks.0.attn.relative_position_bias_table"),
    "Swin": ("layers.0.blocks.0.attn.relative_position_bias_table", "patch_embed.proj.weight"),
    "Swin ": ("layers.0.blocks.0.attn.cpb_mlp.0.weight", "layers.0.blocks.0.attn.q_bias"),
    "ConvNeXt": ("stages.0.blocks.0.conv_dw.weight", "stages.0.blocks.0.gamma"),
    "ConvNeXt ": ("downsample_layers.0.0.weight", "stages.0.0.dwconv.weight"),
    "ConvNeXt V2": ("stages.0.blocks.0.conv_dw.weight", "stages.0.blocks.0.mlp.grn.weight"),
    "EfficientNet": ("conv_stem.weight", "blocks.1.0.conv_pw.weight"),
    "EfficientNet ": ("features.0.0.weight", "features.1.0.block.0.0.weight"),
    "VGG": ("features.0.weight", "classifier.6.weight"),
    "DenseNet": ("features.conv0.weight", "features.denseblock1.denselayer1.conv1.weight"),
    "RegNet": ("stem.conv.weight", "s1.b1.conv1.conv.weight"),
    "MLP-Mixer": ("stem.proj.weight", "blocks.0.mlp_tokens.fc1.weight"),
    "torchvision's ViT": ("class_token", "encoder.layers.encoder_layer_0.ln_1.weight"),
    "Hugging Face transformers' names": ("vit.encoder.layer.0.attention.attention.query.weight",),
    "language model": ("model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight"),
    "diffusion": ("model.diffusion_model.input_blocks.0.0.weight",),
    "text tower of another make": ("visual.conv1.weight", "text_model.encoder.layer.0.x"),
    "image tower of timm's": ("visual.trunk.cls_token", "visual.trunk.blocks.0.norm1.weight"),
    "timm's image tower of a CLIP": ("norm_pre.weight", *VIT),
}


def _empty(shapes):
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("what", NAMED)
def test_named(what, prefix):
    found, _ = recognise(_empty({prefix + name: (7, 7) for name in NAMED[what]}))
    assert what.strip() in found


def _resnet(blocks, *, stem=(64, 3, 7, 7), width=64, inputs=64, bottleneck=True, shortcut=True):
    shapes = {"conv1.weight": stem, "fc.weight": (10, 64)}
    for stage, count in enumerate(blocks, 1):
        for block in range(count):
            name = f"layer{stage}.{block}"
            shapes |= {f"{name}.conv1.weight": (64, 64, 1, 1), f"{name}.bn1.weight": (64,)}
            shapes[f"{name}.conv2.weight"] = (width, inputs, 3, 3)
            if bottleneck:
                shapes[f"{name}.conv3.weight"] = (256, 64, 1, 1)
        if shortcut:
            shapes[f"layer{stage}.0.downsample.0.weight"] = (64, 64, 1, 1)
    return shapes


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (_resnet((3, 4, 6, 3), bottleneck=False), "ResNet-34"),
        (_resnet((3, 4, 23, 3)), "ResNet-101"),
        (_resnet((3, 4, 6, 3), width=128, inputs=128), "Wide ResNet-50-2"),
        (_resnet((3, 4, 6, 3), width=128, inputs=4), "ResNeXt-50 32x4d"),
        (_resnet((3, 3, 3), stem=(16, 3, 3, 3), bottleneck=False), "option B, as in chenyaofo's"),
        (_resnet((3, 4, 6, 3)), ""),
        (_resnet((3, 3, 3), stem=(16, 3, 3, 3), bottleneck=False, shortcut=False), ""),
    ],
)
def test_resnets(shapes, words):
    found, _ = recognise(_empty(shapes))
    assert words in found if words else not found


def test_sizes():
    vit = {
        "cls_token": (1, 1, 64),
        "pos_embed": (1, 577, 64),
        "patch_embed.proj.weight": (64, 3, 16, 16),
        **{f"blocks.{i}.{name}": (64,) for i in range(3) for name in BLOCK},
    }
    assert size(_empty(vit)) == (
        "a ViT of width 64, 3 blocks and patches of 16 x 16 for images of 384 x 384"
    )
    del vit["cls_token"]
    assert size(_empty(vit)).endswith("without a class token")
    clip = {
        "visual.conv1.weight": (1280, 3, 14, 14),
        "visual.positional_embedding": (257, 1280),
        "visual.transformer.resblocks.31.ln_1.weight": (1280,),
        "transformer.resblocks.0.ln_1.weight": (1024,),
    }
    assert size(_empty(clip)).startswith("a CLIP with a ViT of width 1280, 32 blocks")
    del clip["transformer.resblocks.0.ln_1.weight"]
    assert size(_empty(clip)).startswith("the image tower alone of a CLIP")
    bit = {
        "stem.conv.weight": (192, 3, 7, 7),
        **{f"stages.{i}.blocks.2.norm3.weight": (64,) for i in range(4)},
    }
    assert size(_empty(bit)) == "a BiT of (3, 3, 3, 3) blocks and 3 times the width"


@pytest.mark.parametrize("name", ["clip_tiny", "clip_vit_b32", "clip_rn50", *CLASSIFIERS])
def test_the_models_that_are_here_are_none_of_them(name):
    if name in SIZES:
        layouts = clip_params.layouts(SIZES[name])
    else:
        layouts = classifier.layouts(CLASSIFIERS[name])
    for shapes in layouts:
        assert recognise(_empty(shapes)) == ("", "")
        if name != "clip_tiny":  # which is too small to be among them
            assert size(_empty(shapes)) == ""
    assert jax.tree.leaves(layouts)
