"""ResNets as torchvision builds them (He et al. 2016, arXiv 1512.03385), and ResNeXts (1611.05431).

The stride of a bottleneck is on its 3x3 convolution ("v1.5"). Batch normalisation is in its
inference form and folded into the convolution before it, which is exact. Padding is symmetric, as
in torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from vp_jax.backbones.layers import remat
from vp_jax.backbones.layers.inputs import check_images


def conv(
    features: int,
    size: int,
    name: str,
    dtype: DTypeLike | None,
    *,
    stride: int = 1,
    groups: int = 1,
) -> nn.Conv:
    """A convolution, `size` x `size`, with a bias and as much padding on either side."""
    return nn.Conv(
        features,
        (size, size),
        strides=(stride, stride),
        padding=size // 2,
        feature_group_count=groups,
        dtype=dtype,
        name=name,
        conv_general_dilated=_pointwise if size == groups == 1 else None,
    )


def _pointwise(
    images: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: Any,
    *,
    precision: Any,
    **_: Any,
) -> jax.Array:
    """A 1x1 convolution as the product of matrices that it is.

    On CPUs XLA finds that out from jax 0.12 on; before, ResNet-50's step takes a quarter more time.
    """
    down, right = strides
    return jnp.matmul(images[:, ::down, ::right], kernel[0, 0], precision=precision)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut.

    Attributes:
      features: channels of the result.
      stride: of the first convolution and the shortcut.
      dtype: computation dtype; None follows the inputs and parameters.
      shortcut: maps `[batch, h, w, c]`, features and stride to `[batch, h / stride, w / stride,
        features]` where these differ; a convolution, 1x1, by default.
    """

    features: int
    stride: int = 1
    dtype: DTypeLike | None = None
    shortcut: Callable[[jax.Array, int, int], jax.Array] | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `[batch, h, w, c]` to `[batch, h / stride, w / stride, features]`."""
        out = nn.relu(conv(self.features, 3, "conv1", self.dtype, stride=self.stride)(x))
        out = conv(self.features, 3, "conv2", self.dtype)(out)
        if self.stride > 1 or x.shape[-1] != self.features:
            if self.shortcut is None:
                x = conv(self.features, 1, "downsample", self.dtype, stride=self.stride)(x)
            else:
                x = self.shortcut(x, self.features, self.stride)
        return nn.relu(out + x)


class Bottleneck(nn.Module):
    """1x1, 3x3 (in groups: ResNeXt) and 1x1 convolutions and a shortcut; widens four times.

    Attributes:
      features: a quarter of the channels of the result.
      stride: of the 3x3 convolution and the shortcut.
      groups: of the 3x3 convolution.
      width_per_group: channels of a group where `features` is 64; in proportion elsewhere.
      dtype: computation dtype; None follows the inputs and parameters.
    """

    features: int
    stride: int = 1
    groups: int = 1
    width_per_group: int = 64
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `[batch, h, w, c]` to `[batch, h / stride, w / stride, 4 * features]`."""
        inner, outer = self.features * self.width_per_group // 64 * self.groups, 4 * self.features
        out = nn.relu(conv(inner, 1, "conv1", self.dtype)(x))
        middle = conv(inner, 3, "conv2", self.dtype, stride=self.stride, groups=self.groups)
        out = conv(outer, 1, "conv3", self.dtype)(nn.relu(middle(out)))
        if self.stride > 1 or x.shape[-1] != outer:
            x = conv(outer, 1, "downsample", self.dtype, stride=self.stride)(x)
        return nn.relu(out + x)


class ResNet(nn.Module):
    """A ResNet without its classifier.

    Attributes:
      image_size: side of the square input, in pixels.
      layers: number of blocks of each stage.
      bottleneck: the blocks are `Bottleneck` instead of `BasicBlock`.
      width: `features` of the blocks of the first stage; each later one has twice as many.
      stem_width: channels after the first convolution.
      groups, width_per_group: of the bottlenecks.
      dtype: computation dtype; None follows the inputs and parameters.
      remat: what of a block is computed again for gradients, one of `remat.CHOICES`.
    """

    image_size: int
    layers: Sequence[int]
    bottleneck: bool
    width: int = 64
    stem_width: int = 64
    groups: int = 1
    width_per_group: int = 64
    dtype: DTypeLike | None = None
    remat: str = "none"

    def _block(self, stage: int, block: int) -> nn.Module:
        shared = {
            "features": self.width * 2**stage,
            "stride": 2 if stage > 0 and block == 0 else 1,
            "dtype": self.dtype,
            "name": f"stage_{stage}_block_{block}",
        }
        if not self.bottleneck:
            return remat.block(BasicBlock, self.remat)(**shared)
        bottleneck = remat.block(Bottleneck, self.remat)
        return bottleneck(groups=self.groups, width_per_group=self.width_per_group, **shared)

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Maps normalised images `[batch, size, size, 3]` to features `[batch, channels]`.

        The channels are those of the last stage: `width * 2**(stages - 1)`, four times that for
        bottlenecks. The features are the mean over all positions.
        """
        check_images(images, self.image_size)
        x = nn.relu(conv(self.stem_width, 7, "conv1", self.dtype, stride=2)(images))
        x = nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        for stage, blocks in enumerate(self.layers):
            for block in range(blocks):
                x = self._block(stage, block)(x)
        return x.mean(axis=(1, 2))
