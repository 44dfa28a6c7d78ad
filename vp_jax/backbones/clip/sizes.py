"""The sizes of CLIP: nine released by OpenAI and the one embedded in this package."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
from jax.typing import DTypeLike

from vp_jax.backbones.clip.resnet import ModifiedResNet
from vp_jax.backbones.clip.text import TextTransformer
from vp_jax.backbones.clip.vit import VisionTransformer

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of OpenAI's training images, RGB in [0, 1]
STD = (0.26862954, 0.26130258, 0.27577711)


@dataclasses.dataclass(frozen=True)
class ClipSize:
    """Everything that tells one CLIP from another, apart from its weights.

    Attributes:
      embed_dim: length of the features of both towers.
      image_size: side of the square input, in pixels.
      vision_layers: transformer blocks, or bottlenecks per stage for a ResNet.
      vision_width: transformer width, or channels after the ResNet's stem.
      patch_size: side of a patch in pixels; None makes the image tower a ResNet.
      vision_heads: attention heads of the image tower (of the pool for a ResNet).
      text_width, text_layers, text_heads, vocab_size, context_length: of the text tower.
      hub: the repository on the Hugging Face Hub that holds the weights by default.
    """

    embed_dim: int
    image_size: int
    vision_layers: int | tuple[int, int, int, int]
    vision_width: int
    patch_size: int | None
    vision_heads: int
    text_width: int
    text_layers: int = 12
    text_heads: int = 8
    vocab_size: int = 49408
    context_length: int = 77
    hub: str | None = None

    @property
    def stages(self) -> tuple[int, ...]:
        """Bottlenecks of each stage of a ResNet; of a vision transformer none."""
        return () if isinstance(self.vision_layers, int) else self.vision_layers

    @property
    def vit(self) -> tuple[int, int] | None:
        """Blocks and side of a patch of a vision transformer; None for a ResNet."""
        if self.patch_size is None or not isinstance(self.vision_layers, int):
            return None
        return self.vision_layers, self.patch_size

    def image_tower(self, dtype: DTypeLike | None = None) -> nn.Module:
        """The Linen module that maps normalised images `[B, S, S, 3]` to `[B, embed_dim]`."""
        if self.vit is None:
            return ModifiedResNet(
                image_size=self.image_size,
                layers=self.stages,
                width=self.vision_width,
                heads=self.vision_heads,
                embed_dim=self.embed_dim,
                dtype=dtype,
            )
        layers, patch_size = self.vit
        return VisionTransformer(
            image_size=self.image_size,
            patch_size=patch_size,
            width=self.vision_width,
            layers=layers,
            heads=self.vision_heads,
            embed_dim=self.embed_dim,
            dtype=dtype,
        )

    def text_tower(self) -> nn.Module:
        """The Linen module that maps token ids `[B, context_length]` to `[B, embed_dim]`."""
        return TextTransformer(
            vocab_size=self.vocab_size,
            context_length=self.context_length,
            width=self.text_width,
            layers=self.text_layers,
            heads=self.text_heads,
            embed_dim=self.embed_dim,
        )


def _vit(
    embed_dim: int,
    image_size: int,
    layers: int,
    width: int,
    patch_size: int,
    text_width: int,
    text_heads: int,
    hub: str,
) -> ClipSize:
    heads = width // 64
    return ClipSize(
        embed_dim, image_size, layers, width, patch_size, heads, text_width, 12, text_heads, hub=hub
    )


def _resnet(
    embed_dim: int,
    image_size: int,
    layers: tuple[int, int, int, int],
    width: int,
    text_width: int,
    text_heads: int,
    hub: str,
) -> ClipSize:
    heads = width * 32 // 64
    return ClipSize(
        embed_dim, image_size, layers, width, None, heads, text_width, 12, text_heads, hub=hub
    )


SIZES: dict[str, ClipSize] = {
    "clip_vit_b32": _vit(512, 224, 12, 768, 32, 512, 8, "timm/vit_base_patch32_clip_224.openai"),
    "clip_vit_b16": _vit(512, 224, 12, 768, 16, 512, 8, "timm/vit_base_patch16_clip_224.openai"),
    "clip_vit_l14": _vit(768, 224, 24, 1024, 14, 768, 12, "timm/vit_large_patch14_clip_224.openai"),
    "clip_vit_l14_336": _vit(
        768, 336, 24, 1024, 14, 768, 12, "timm/vit_large_patch14_clip_336.openai"
    ),
    "clip_rn50": _resnet(1024, 224, (3, 4, 6, 3), 64, 512, 8, "timm/resnet50_clip.openai"),
    "clip_rn101": _resnet(512, 224, (3, 4, 23, 3), 64, 512, 8, "timm/resnet101_clip.openai"),
    "clip_rn50x4": _resnet(640, 288, (4, 6, 10, 6), 80, 640, 10, "timm/resnet50x4_clip.openai"),
    "clip_rn50x16": _resnet(768, 384, (6, 8, 18, 8), 96, 768, 12, "timm/resnet50x16_clip.openai"),
    "clip_rn50x64": _resnet(
        1024, 448, (3, 15, 36, 10), 128, 1024, 16, "timm/resnet50x64_clip.openai"
    ),
    "clip_tiny": ClipSize(
        embed_dim=192,
        image_size=32,
        vision_layers=4,
        vision_width=192,
        patch_size=8,
        vision_heads=3,
        text_width=128,
        text_layers=2,
        text_heads=2,
        vocab_size=1024,
        context_length=24,
    ),
}
