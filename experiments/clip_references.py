"""CLIP as open_clip and transformers compute it, with random weights: what parity is measured with.

Needs torch, open_clip_torch and transformers. The weights are random in every place, also in those
that a fresh model leaves at 0 or 1, since otherwise a swapped bias would go unnoticed. Batch
normalisation has the statistics of noise images, and residual branches are scaled down, as in
trained models: at full scale a random ResNet amplifies rounding so much that open_clip in float32
is 2e-4 away from itself in float64.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import torch

from vp_jax.backbones.clip.sizes import ClipSize


class Outputs(NamedTuple):
    """What a CLIP makes of images and tokens.

    Attributes:
      image_features, text_features: `[B, embed_dim]`.
      image_gradient: of `sum(image_features * cotangent)`, `[B, S, S, 3]`.
    """

    image_features: np.ndarray
    text_features: np.ndarray
    image_gradient: np.ndarray


def open_clip_model(size: ClipSize, seed: int = 0) -> torch.nn.Module:
    """open_clip's CLIP of a size, with random weights and OpenAI's tensor names."""
    make_torchvision_importable()
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

    pool = 32 if size.patch_size is None else 1  # a ResNet's attention pool is 32 times wider
    torch.manual_seed(seed)
    model = CLIP(
        size.embed_dim,
        CLIPVisionCfg(
            layers=size.vision_layers,
            width=size.vision_width,
            head_width=size.vision_width * pool // size.vision_heads,
            patch_size=size.patch_size or 16,
            image_size=size.image_size,
        ),
        CLIPTextCfg(
            context_length=size.context_length,
            vocab_size=size.vocab_size,
            width=size.text_width,
            heads=size.text_heads,
            layers=size.text_layers,
        ),
        quick_gelu=True,
    )
    _randomise(model)
    _calibrate(model, size)
    return model.eval()


def transformers_model(size: ClipSize, seed: int = 0) -> torch.nn.Module:
    """transformers' CLIPModel of a size, a ViT, with random weights."""
    make_torchvision_importable()
    from transformers import CLIPConfig, CLIPModel

    text = dict(
        hidden_size=size.text_width,
        intermediate_size=4 * size.text_width,
        num_hidden_layers=size.text_layers,
        num_attention_heads=size.text_heads,
        vocab_size=size.vocab_size,
        max_position_embeddings=size.context_length,
        bos_token_id=size.vocab_size - 2,
        eos_token_id=size.vocab_size - 1,
    )
    vision = dict(
        hidden_size=size.vision_width,
        intermediate_size=4 * size.vision_width,
        num_hidden_layers=size.vision_layers,
        num_attention_heads=size.vision_heads,
        image_size=size.image_size,
        patch_size=size.patch_size,
    )
    torch.manual_seed(seed)
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=size.embed_dim)
    model = CLIPModel(config)
    _randomise(model)
    return model.eval()


def state_dict(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """The model's tensors."""
    return {name: x.detach().numpy() for name, x in model.state_dict().items()}


def run(
    model: torch.nn.Module, images: np.ndarray, tokens: np.ndarray, cotangent: np.ndarray
) -> Outputs:
    """Runs one of the models above.

    Args:
      model: computes in the dtype of its parameters.
      images: normalised, `[B, S, S, 3]`.
      tokens: `[N, context_length]`.
      cotangent: `[B, embed_dim]`.
    """
    dtype = next(model.parameters()).dtype
    pixels = torch.tensor(images.transpose(0, 3, 1, 2), dtype=dtype, requires_grad=True)
    ids = torch.tensor(tokens, dtype=torch.long)
    if hasattr(model, "vision_model"):
        features = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
        texts = model.text_projection(model.text_model(input_ids=ids).pooler_output)
    else:
        features, texts = model.encode_image(pixels), model.encode_text(ids)
    (features * torch.tensor(cotangent, dtype=dtype)).sum().backward()
    gradient = pixels.grad.numpy().transpose(0, 2, 3, 1)
    return Outputs(features.detach().numpy(), texts.detach().numpy(), gradient)


def inputs(size: ClipSize, batch: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random normalised images, token rows that end at different places, and a cotangent."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(batch, size.image_size, size.image_size, 3)).astype(np.float32)
    tokens = np.zeros((batch, size.context_length), np.int32)
    for i, row in enumerate(tokens):
        length = 3 + i * (size.context_length - 3) // max(batch - 1, 1)
        row[:length] = rng.integers(0, size.vocab_size - 2, length)
        row[0], row[length - 1] = size.vocab_size - 2, size.vocab_size - 1
    cotangent = rng.normal(size=(batch, size.embed_dim)).astype(np.float32)
    return images, tokens, cotangent


@torch.no_grad()
def _randomise(model: torch.nn.Module) -> None:
    """Moves vectors away from their initial 0 or 1; matrices are random already."""
    for name, param in model.named_parameters():
        if param.ndim != 1:
            continue
        if name.endswith("bias"):
            param.normal_(0, 0.1)
        elif name.endswith("weight"):
            branch_end = name.startswith("visual.layer") and name.endswith("bn3.weight")
            param.normal_(0.2 if branch_end else 1, 0.05 if branch_end else 0.2)


@torch.no_grad()
def _calibrate(model: torch.nn.Module, size: ClipSize) -> None:
    """Gives batch normalisations the mean and variance of their inputs on noise images."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # plain average
    if norms:
        model.train()
        model.encode_image(torch.randn(4, 3, size.image_size, size.image_size))


@functools.cache
def make_torchvision_importable() -> object | None:
    """torchvision built for CUDA asks for two operators that torch for the CPU lacks: declare them.

    Returns:
      What must stay alive for the declarations to hold.
    """
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return library
    return None
