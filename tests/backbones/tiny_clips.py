"""Sizes of CLIP that are small enough for tests, and the golden files there are of them."""

from __future__ import annotations

import pathlib

import numpy as np
from flax import traverse_util

from vp_jax.backbones.clip import params as clip_params
from vp_jax.backbones.clip.sizes import ClipSize

GOLDEN_FOLDER = pathlib.Path(__file__).parent / "golden"

VIT = ClipSize(
    embed_dim=24,
    image_size=24,
    vision_layers=2,
    vision_width=32,
    patch_size=8,
    vision_heads=2,
    text_width=16,
    text_layers=2,
    text_heads=2,
    vocab_size=80,
    context_length=12,
)
RESNET = ClipSize(
    embed_dim=24,
    image_size=64,
    vision_layers=(1, 2, 1, 1),
    vision_width=2,
    patch_size=None,
    vision_heads=4,
    text_width=16,
    text_layers=1,
    text_heads=2,
    vocab_size=80,
    context_length=12,
)
GOLDEN = {  # name of the file: (size, layout)
    "vit_openai": (VIT, "openai"),
    "vit_hf": (VIT, "hf"),
    "resnet_openai": (RESNET, "openai"),
}


def golden_weights(name: str) -> pathlib.Path:
    """The safetensors file."""
    return GOLDEN_FOLDER / f"{name}.safetensors"


def random_params(size: ClipSize, seed: int = 0) -> dict:
    """Numpy parameters, every one of them random; quicker than the modules' initialisation."""
    rng = np.random.default_rng(seed)
    flat = {}
    for path, leaf in traverse_util.flatten_dict(clip_params.shapes(size), sep="/").items():
        noise = rng.normal(size=leaf.shape, scale=0.1 if len(leaf.shape) < 2 else 0.2)
        flat[path] = (noise + path.endswith("scale")).astype(np.float32)
    return traverse_util.unflatten_dict(flat, sep="/")
