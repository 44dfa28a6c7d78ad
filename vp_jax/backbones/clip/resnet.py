"""CLIP's image tower as a modified ResNet (Radford et al. 2021, arXiv 2103.00020).

Against the usual ResNet: a stem of three convolutions, average pooling before every strided
convolution (anti-aliasing), and an attention pool instead of the average at the end. Batch
normalisation is in its inference form and folded into the convolution before it, which is exact.
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from vp_jax.backbones.layers import remat
from vp_jax.backbones.layers.attention import attention
from vp_jax.backbones.layers.inputs import check_images
from vp_jax.backbones.resnets.resnet import conv


def _average_pool(x: jax.Array, stride: int) -> jax.Array:
    return nn.avg_pool(x, (stride, stride), strides=(stride, stride)) if stride > 1 else x


class Bottleneck(nn.Module):
    """Residual bottleneck with average pooling in place of strides; widens four times."""

    features: int
    stride: int = 1
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `[batch, h, w, c]` to `[batch, h / stride, w / stride, 4 * features]`."""
        out = nn.relu(conv(self.features, 1, "conv1", self.dtype)(x))
        out = nn.relu(conv(self.features, 3, "conv2", self.dtype)(out))
        out = conv(4 * self.features, 1, "conv3", self.dtype)(_average_pool(out, self.stride))
        if self.stride > 1 or x.shape[-1] != 4 * self.features:
            x = conv(4 * self.features, 1, "downsample", self.dtype)(_average_pool(x, self.stride))
        return nn.relu(out + x)


class AttentionPool(nn.Module):
    """Multi-head attention from the mean position over all positions and itself."""

    heads: int
    embed_dim: int
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `[batch, h, w, c]` to `[batch, embed_dim]`."""
        batch, height, width, channels = x.shape
        x = x.reshape(batch, height * width, channels)
        x = jnp.concatenate([x.mean(axis=1, keepdims=True), x], axis=1)
        positions = self.param(
            "positional_embedding", nn.initializers.normal(channels**-0.5), x.shape[1:]
        )
        x = x + positions.astype(x.dtype)
        split = (batch, -1, self.heads, channels // self.heads)
        q = nn.Dense(channels, dtype=self.dtype, name="query")(x[:, :1]).reshape(split)
        k = nn.Dense(channels, dtype=self.dtype, name="key")(x).reshape(split)
        v = nn.Dense(channels, dtype=self.dtype, name="value")(x).reshape(split)
        mixed = attention(q, k, v).reshape(batch, channels)
        return nn.Dense(self.embed_dim, dtype=self.dtype, name="out")(mixed)


class ModifiedResNet(nn.Module):
    """CLIP's ResNet.

    Attributes:
      image_size: side of the square input, in pixels; a multiple of 32.
      layers: number of bottlenecks of each of the four stages.
      width: channels after the stem.
      heads: of the attention pool.
      embed_dim: length of the returned features.
      dtype: computation dtype; None follows the inputs and parameters.
      remat: what of a block is computed again for gradients, one of `remat.CHOICES`.
    """

    image_size: int
    layers: Sequence[int]
    width: int
    heads: int
    embed_dim: int
    dtype: DTypeLike | None = None
    remat: str = "none"

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Maps normalised images `[batch, size, size, 3]` to features `[batch, embed_dim]`."""
        check_images(images, self.image_size)
        x = nn.relu(conv(self.width // 2, 3, "conv1", self.dtype, stride=2)(images))
        x = nn.relu(conv(self.width // 2, 3, "conv2", self.dtype)(x))
        x = nn.relu(conv(self.width, 3, "conv3", self.dtype)(x))
        x = _average_pool(x, 2)
        bottleneck = remat.block(Bottleneck, self.remat)
        for stage, blocks in enumerate(self.layers):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                x = bottleneck(
                    self.width * 2**stage, stride, self.dtype, name=f"stage_{stage}_block_{block}"
                )(x)
        return AttentionPool(self.heads, self.embed_dim, self.dtype, name="attnpool")(x)
