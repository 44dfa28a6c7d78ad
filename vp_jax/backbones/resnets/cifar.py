"""The small ResNets for CIFAR (He et al. 2016, arXiv 1512.03385, section 4.2).

Batch normalisation is in its inference form and folded into the convolution before it, which is
exact.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from vp_jax.backbones.layers import remat
from vp_jax.backbones.layers.inputs import check_images
from vp_jax.backbones.resnets.resnet import BasicBlock, conv

STAGES = 3


def shortcut(x: jax.Array, features: int, stride: int) -> jax.Array:
    """Option A of the paper, without parameters: every `stride`-th position, channels of zeros.

    Half of the new channels come before the old ones and half after, as in
    https://github.com/akamaster/pytorch_resnet_cifar10; the paper leaves that open.

    Args:
      x: `[batch, h, w, c]`.
      features: channels of the result; exceeds c by an even number.
      stride: in both directions.

    Returns:
      `[batch, h / stride, w / stride, features]`.
    """
    new = (features - x.shape[-1]) // 2
    return jnp.pad(x[:, ::stride, ::stride], ((0, 0), (0, 0), (0, 0), (new, new)))


class CifarResNet(nn.Module):
    """A CIFAR ResNet of `6 * blocks + 2` layers without its classifier.

    Attributes:
      image_size: side of the square input, in pixels.
      blocks: in each of the three stages.
      width: channels of the first stage; each later one has twice as many.
      dtype: computation dtype; None follows the inputs and parameters.
      remat: what of a block is computed again for gradients, one of `remat.CHOICES`.
    """

    image_size: int
    blocks: int
    width: int = 16
    dtype: DTypeLike | None = None
    remat: str = "none"

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Maps normalised images `[batch, size, size, 3]` to features `[batch, 4 * width]`."""
        check_images(images, self.image_size)
        x = nn.relu(conv(self.width, 3, "conv1", self.dtype)(images))
        basic_block = remat.block(BasicBlock, self.remat)
        for stage in range(STAGES):
            for block in range(self.blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                x = basic_block(
                    self.width * 2**stage,
                    stride,
                    self.dtype,
                    shortcut,
                    name=f"stage_{stage}_block_{block}",
                )(x)
        return x.mean(axis=(1, 2))
