"""BiT's ResNet (Kolesnikov et al. 2020, arXiv 1912.11370): a pre-activation ResNet-v2.

Every normalisation is a GroupNorm (arXiv 1803.08494), every kernel is standardised before it is
used (arXiv 1903.10520): no statistics of a batch, and none that are stored.
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from vp_jax.backbones.layers import remat
from vp_jax.backbones.layers.inputs import check_images

KERNEL_EPSILON = 1e-10  # of the released code, google-research/big_transfer; timm has 1e-8
GROUP_NORM_EPSILON = 1e-5


def standardize(kernel: jax.Array) -> jax.Array:
    """Gives each output channel of a kernel `[h, w, in, out]` mean 0 and variance 1."""
    axes = (0, 1, 2)
    centred = kernel - kernel.mean(axes, keepdims=True)
    variance = jnp.square(centred).mean(axes, keepdims=True)
    return centred * jax.lax.rsqrt(variance + KERNEL_EPSILON)


class StandardizedConv(nn.Module):
    """Convolution by the standardised kernel, without a bias.

    The kernel is standardised in its own dtype in every forward pass, so that gradients of it are
    right when the backbone is fine-tuned.

    Attributes:
      features: output channels.
      size: side of the kernel; the input is padded with `size // 2` zeros on every side.
      stride: in both directions.
      dtype: computation dtype; None follows the input and kernel.
    """

    features: int
    size: int
    stride: int = 1
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `[batch, h, w, c]` to `[batch, h / stride, w / stride, features]`."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = standardize(self.param("kernel", nn.initializers.lecun_normal(), shape))
        x, kernel = nn.dtypes.promote_dtype(x, kernel, dtype=self.dtype)
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            window_strides=(self.stride, self.stride),
            padding=[(self.size // 2, self.size // 2)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )


def _norm_relu(x: jax.Array, groups: int, name: str, dtype: DTypeLike | None) -> jax.Array:
    norm = nn.GroupNorm(
        groups, epsilon=GROUP_NORM_EPSILON, use_fast_variance=False, dtype=dtype, name=name
    )
    return nn.relu(norm(x))


class PreActivationBottleneck(nn.Module):
    """Residual bottleneck that normalises before every convolution; widens four times.

    Attributes:
      features: channels of the 3 x 3 convolution.
      stride: of the 3 x 3 convolution and of the projected shortcut.
      groups: of every GroupNorm.
      dtype: computation dtype; None follows the inputs and parameters.
    """

    features: int
    stride: int
    groups: int
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `[batch, h, w, c]` to `[batch, h / stride, w / stride, 4 * features]`."""
        wide = 4 * self.features
        out = _norm_relu(x, self.groups, "norm1", self.dtype)
        if self.stride > 1 or x.shape[-1] != wide:
            x = StandardizedConv(wide, 1, self.stride, self.dtype, name="downsample")(out)
        out = StandardizedConv(self.features, 1, 1, self.dtype, name="conv1")(out)
        out = _norm_relu(out, self.groups, "norm2", self.dtype)
        out = StandardizedConv(self.features, 3, self.stride, self.dtype, name="conv2")(out)
        out = _norm_relu(out, self.groups, "norm3", self.dtype)
        return x + StandardizedConv(wide, 1, 1, self.dtype, name="conv3")(out)


class BitResNet(nn.Module):
    """BiT's ResNet without the classifier: features are the mean over all positions.

    Attributes:
      image_size: side of the square input, in pixels.
      layers: number of bottlenecks of each stage.
      width: channels after the root block.
      groups: of every GroupNorm; must divide all channel counts.
      dtype: computation dtype; None follows the inputs and parameters.
      remat: what of a block is computed again for gradients, one of `remat.CHOICES`.
    """

    image_size: int
    layers: Sequence[int]
    width: int = 64
    groups: int = 32
    dtype: DTypeLike | None = None
    remat: str = "none"

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Maps normalised images `[batch, size, size, 3]` to features `[batch, channels]`.

        The features have `4 * width * 2 ** (stages - 1)` channels. The maximum pool of the root
        block sees zeros around its input, as in BiT, where the usual ResNet sees nothing there.
        """
        check_images(images, self.image_size)
        x = StandardizedConv(self.width, 7, 2, self.dtype, name="root_conv")(images)
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        x = nn.max_pool(x, (3, 3), strides=(2, 2))
        bottleneck = remat.block(PreActivationBottleneck, self.remat)
        for stage, blocks in enumerate(self.layers):
            for block in range(blocks):
                x = bottleneck(
                    self.width * 2**stage,
                    stride=2 if stage > 0 and block == 0 else 1,
                    groups=self.groups,
                    dtype=self.dtype,
                    name=f"stage_{stage}_block_{block}",
                )(x)
        x = _norm_relu(x, self.groups, "norm", self.dtype)
        return x.mean(axis=(1, 2))
