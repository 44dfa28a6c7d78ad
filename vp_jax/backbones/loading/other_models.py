"""Names models that are not among those here, by what only they have in a weight file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from vp_jax.backbones.clip.sizes import SIZES
from vp_jax.backbones.vits.sizes import VITS
from vp_jax.backbones.weights.table import Shape

Size = tuple[int, int, int, int]  # of a ViT: width, blocks, sides of a patch and of an image

_SIGNS: tuple[tuple[str, str], ...] = (
    ("a diffusion model", r"diffusion_model\.|down_blocks\.\d+\.|unet\."),
    ("CoCa", r"text\.cls_emb|text_decoder\.(resblocks|transformer)"),
    (
        "BLIP",
        r"text_decoder\.(bert|cls)\.|visual_encoder\.|qformer\.|\d\.self_attn\.qkv\.",
    ),
    ("SigLIP", r"logit_bias|vision_model\.head\.(probe|mlp|att)|MAPHead_0[./]"),
    (
        "MobileCLIP",
        r"image_encoder\.model\.|trunk\..*(token_mixer|embed\.backbone\.\d+\.conv)\.",
    ),
    ("FastViT", r"token_mixer\.(conv|mixer|norm)\."),
    ("a ViT on a convolutional stem", r"patch_embed\.backbone\.(stem|stages)\."),
    (
        "Swin Transformer",
        r"layers\.\d+\.(downsample\.reduction|blocks\.\d+\.att.*relative_position)|(attn|"
        r"self)\.(cpb_mlp|continuous_position)|features\.\d+\.\d+\.attn\.relative_position",
    ),
    ("DINOv3", r"storage_tokens|rope_embed\.periods|model\.layer\.\d+\.layer_scale1"),
    (
        "BEiT",
        r"\d\.attn\.relative_position_bias_table|"
        r"rel_pos_bias\.relative_position_bias_table|(beit|data2vec_vision)\.|\d\.lambda_1",
    ),
    ("MAE with its decoder", r"decoder_(embed|pred|blocks)"),
    ("CaiT", r"blocks_token_only\."),
    ("XCiT", r"cls_attn_blocks\."),
    ("DINOv2", r"register_tokens|\d\.layer_scale1\.lambda1|mlp\.w12\."),
    ("EVA", r"\d\.attn\.q_bias|rope\.freqs|inner_attn_ln|mlp\.ffn_ln|mlp\.w3\."),
    ("DeiT, the distilled kind", r"dist_token|distillation_token"),
    ("EdgeNeXt", r"\d\.gamma_xca"),
    ("ConvNeXt V2", r"(mlp|\d)\.grn\."),
    (
        "ConvNeXt",
        r"stages\.\d+\.(blocks\.\d+\.conv_dw|(layers\.)?\d+\.dwconv)\.|"
        r"features\.\d+\.\d+\.layer_scale|\d\.layer_scale_parameter",
    ),
    (
        "EfficientNet or MobileNet",
        r"blocks\.\d+\.\d+\.(conv_pwl?|conv_dw|bn3)\.|features\.\d+\.((\d+\.)?block|"
        r"conv)\.\d|conv_stem\.",
    ),
    ("VGG, AlexNet or SqueezeNet", r"features\.0\.(weight|bias)"),
    ("DenseNet", r"features\.denseblock\d|denseblock\d"),
    ("Inception or GoogLeNet", r"Mixed_\d[a-e]\.|inception\d[a-e]\."),
    ("RegNet", r"s\d\.b\d+\.conv\d|trunk_output\."),
    ("MaxViT or CoAtNet", r"rel_pos\.relative_position_bias_table|attn_block\."),
    ("MLP-Mixer", r"\d\.mlp_tokens\.|MixerBlock_\d+[./]"),
    ("Segment Anything", r"mask_decoder\.|neck\.\d\.weight"),
    ("a detector", r"(class|bbox)_embed\.|rpn\.head\.|class_labels_classifier\."),
    ("torchvision's ViT", r"encoder_layer_\d+\.ln_1|encoder\.pos_embedding"),
    (
        "a ViT in Hugging Face transformers' names",
        r"attention\.attention\.query\.|embeddings\.patch_embeddings\.projection\.",
    ),
    ("a ResNet in Hugging Face transformers' names", r"(resnet|bit)\.embedder\."),
    (
        "a CLIP with a text tower of another make",
        r"text(_model)?\.(\w+\.)?(embeddings\.word_embeddings|encoder\.layer\.\d)|"
        r"bert\.embeddings\.",
    ),
    ("a language model", r"lm_head\.|model\.layers\.\d+\.|wte\.|word_embeddings\."),
    ("a CLIP with an image tower of timm's", r"visual\.trunk\."),
)
"""What a model is called, and the parts of names that tell it from those below it and from the
models here."""

_SAME_IN_TIMM = "take timm's or the original file of the same model"
_DO = {
    "MAE with its decoder": "take the file of its encoder alone",
    "DeiT, the distilled kind": "take the plain one",
    "torchvision's ViT": _SAME_IN_TIMM,
    "a ViT in Hugging Face transformers' names": _SAME_IN_TIMM,
    "a ResNet in Hugging Face transformers' names": _SAME_IN_TIMM,
    "a CLIP with an image tower of timm's": "take one whose image tower is OpenAI's ViT or ResNet",
    "timm's image tower of a CLIP": "take open_clip_model.safetensors beside it",
}
_PATTERNS = tuple((what, re.compile(rf"(?:^|.*[./])(?:{sign})")) for what, sign in _SIGNS)

# Blocks of the stages, width and inputs of the second kernel of the first block.
_RESNETS: dict[tuple[Shape, int, int, bool], str] = {
    ((3, 4, 6, 3), 64, 64, False): "ResNet-34",
    ((3, 4, 23, 3), 64, 64, True): "ResNet-101",
    ((3, 8, 36, 3), 64, 64, True): "ResNet-152",
    ((3, 4, 6, 3), 128, 128, True): "Wide ResNet-50-2",
    ((3, 4, 23, 3), 128, 128, True): "Wide ResNet-101-2",
    ((3, 4, 6, 3), 128, 4, True): "ResNeXt-50 32x4d",
    ((3, 4, 23, 3), 256, 4, True): "ResNeXt-101 64x4d",
    ((3, 4, 23, 3), 512, 16, True): "ResNeXt-101 32x16d",
}


def recognise(tensors: Mapping[str, Any]) -> tuple[str, str]:
    """What kind of model a file holds that is none of those here.

    Args:
      tensors: name -> array, by any names.

    Returns:
      What it is and what to do; both are empty where that is not known.
    """
    shapes = {name: tuple(x.shape) for name, x in tensors.items()}
    for what, pattern in _PATTERNS:
        if any(pattern.match(name) for name in shapes):
            return what, _DO.get(what, "")
    for describe in (_pooled, _gated, _layer_scale, _clip_tower, _small_resnet, _resnet):
        if what := describe(shapes):
            return what, _DO.get(what, "")
    return "", ""


def size(tensors: Mapping[str, Any]) -> str:
    """What size a model of a kind that is here has; empty where there is one of that size."""
    shapes = {name: tuple(x.shape) for name, x in tensors.items()}
    return _clip(shapes) or _bit(shapes) or _vit(shapes)


def _find(shapes: Mapping[str, Shape], name: str) -> Shape:
    """The shape of the tensor whose name ends so; empty where there is none."""
    return next((s for n, s in shapes.items() if n == name or n.endswith(f".{name}")), ())


def _count(shapes: Mapping[str, Shape], pattern: str) -> int:
    """How many blocks there are, by the largest number that the pattern finds in a name."""
    found = (re.search(rf"(?:^|\.){pattern}", name) for name in shapes)
    return max((int(match[1]) + 1 for match in found if match), default=0)


def _pooled(shapes: Mapping[str, Shape]) -> str:
    """A ViT whose features are pooled by attention."""
    if not _find(shapes, "attn_pool.latent"):
        return ""
    return "the Perception Encoder" if _find(shapes, "norm_pre.weight") else "SigLIP"


def _gated(shapes: Mapping[str, Shape]) -> str:
    """A ViT with gates in its perceptrons."""
    if not _find(shapes, "blocks.0.mlp.fc1_g.weight"):
        return ""
    return "EVA" if _find(shapes, "cls_token") else "AIMv2"


def _layer_scale(shapes: Mapping[str, Shape]) -> str:
    if not any(re.search(r"\d\.(ls1\.gamma|gamma_1)$", name) for name in shapes):
        return ""
    patch = _find(shapes, "patch_embed.proj.weight")[-1:]
    if _find(shapes, "reg_token") and not _find(shapes, "pos_embed"):
        return "DINOv3"
    if patch == (14,) or _find(shapes, "mask_token"):
        return "DINOv2"
    return "DeiT III, or another ViT with layer scale"


def _clip_tower(shapes: Mapping[str, Shape]) -> str:
    is_clip = _find(shapes, "norm_pre.weight") and _find(shapes, "patch_embed.proj.weight")
    return "timm's image tower of a CLIP" if is_clip else ""


def _clip(shapes: Mapping[str, Shape]) -> str:
    """A CLIP in OpenAI's or transformers' names, of a size that is not here."""
    for kernel, positions, blocks in (
        (
            "visual.conv1.weight",
            "visual.positional_embedding",
            r"visual\.transformer\.resblocks\.(\d+)\.",
        ),
        (
            "vision_model.embeddings.patch_embedding.weight",
            "vision_model.embeddings.position_embedding.weight",
            r"vision_model\.encoder\.layers\.(\d+)\.",
        ),
    ):
        patch, places = _find(shapes, kernel), _find(shapes, positions)
        size = _vit_size(patch, places, _count(shapes, blocks))
        others = [name for name in shapes if "visual." not in name]
        texts = any(re.search(r"(^|\.)(text_model|transformer|text)\.", n) for n in others)
        if size and not texts:
            return f"the image tower alone of a CLIP, {_size_text(size)}"
        if size and size not in _clip_sizes():
            return f"a CLIP with {_size_text(size)}"
    return ""


def _clip_sizes() -> set[Size]:
    return {(s.vision_width, *s.vit, s.image_size) for s in SIZES.values() if s.vit is not None}


def _vit_sizes() -> set[Size]:
    trunks = (model.trunk(None) for model in VITS.values())
    return {(t.width, t.layers, t.patch_size, t.image_size) for t in trunks}


def _vit_size(patch: Shape, places: Shape, blocks: int) -> Size | None:
    """Width, blocks, side of a patch and of an image."""
    if len(patch) != 4 or len(places) < 2 or patch[2] < 2 or not blocks:
        return None
    rows = math.isqrt(places[-2])
    return (patch[0], blocks, patch[2], rows * patch[2])


def _size_text(size: Size) -> str:
    width, blocks, patch, side = size
    return (
        f"a ViT of width {width}, {blocks} blocks and patches of {patch} x {patch} for images of "
        f"{side} x {side}"
    )


def _vit(shapes: Mapping[str, Shape]) -> str:
    """A ViT in timm's names, of a size that is not here."""
    patch, places = _find(shapes, "patch_embed.proj.weight"), _find(shapes, "pos_embed")
    size = _vit_size(patch, places, _count(shapes, r"blocks\.(\d+)\.attn\.qkv\."))
    if not size or _find(shapes, f"blocks.{size[1] - 1}.norm1.weight") != size[:1]:
        return ""
    if not _find(shapes, "cls_token"):
        return f"{_size_text(size)}, without a class token"
    if _find(shapes, "fc_norm.weight"):
        return f"{_size_text(size)}, whose features are a mean over places"
    return "" if size in _vit_sizes() else _size_text(size)


def _resnet(shapes: Mapping[str, Shape]) -> str:
    """A ResNet in torchvision's names that is not here."""
    if not _find(shapes, "layer1.0.conv2.weight"):
        return ""
    if any(re.search(r"\.se\.fc\d\.|\.se_module\.", name) for name in shapes):
        return "a ResNet with squeeze and excitation"
    if _find(shapes, "conv1.0.weight"):
        return "a ResNet with a deep stem (ResNet-C or -D)"
    blocks = tuple(_count(shapes, rf"layer{stage}\.(\d+)\.") for stage in (1, 2, 3, 4))
    width, inputs = _find(shapes, "layer1.0.conv2.weight")[:2]
    bottleneck = bool(_find(shapes, "layer1.0.conv3.weight"))
    return _RESNETS.get((blocks, width, inputs, bottleneck), "")


def _bit(shapes: Mapping[str, Shape]) -> str:
    """A ResNet-v2 as BiT's, in timm's names, that is not here."""
    stem = _find(shapes, "stem.conv.weight")
    blocks = tuple(_count(shapes, rf"stages\.{i}\.blocks\.(\d+)\.norm3\.") for i in range(4))
    if not stem or not all(blocks) or (stem[0], blocks) == (64, (3, 4, 6, 3)):
        return ""
    return f"a BiT of {blocks} blocks and {stem[0] // 64} times the width"


def _small_resnet(shapes: Mapping[str, Shape]) -> str:
    """A ResNet for small images that has convolutions in its shortcuts."""
    stem, first = _find(shapes, "conv1.weight"), _find(shapes, "layer1.0.conv1.weight")
    shortcut = _find(shapes, "layer2.0.downsample.0.weight") or _find(
        shapes, "layer2.0.shortcut.0.weight"
    )
    is_clip = any("attnpool." in name for name in shapes)
    if stem[1:] != (3, 3, 3) or not first or not shortcut or is_clip:
        return ""
    return (
        f"a ResNet for small images, {stem[0]} channels wide, with convolutions in its shortcuts "
        "(option B, as in chenyaofo's pytorch-cifar-models), where resnet*_cifar have none "
        "(option A, as in akamaster's pytorch_resnet_cifar10)"
    )
