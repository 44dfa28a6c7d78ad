"""The vision transformer that classifies ImageNet: ViT (arXiv 2010.11929), DeiT (arXiv 2012.12877).

Against CLIP's: the patch embedding has a bias, nothing is normalised before the first block, the
MLP's activation is the exact GELU, LayerNorm's epsilon is 1e-6, and nothing projects the features.
"""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
from jax.typing import DTypeLike

from vp_jax.backbones.layers import remat
from vp_jax.backbones.layers.inputs import check_images
from vp_jax.backbones.layers.patches import embed_patches
from vp_jax.backbones.layers.transformer import QUERIES, Block, layer_norm

EPSILON = 1e-6  # of every LayerNorm


def gelu(x: jax.Array) -> jax.Array:
    """The exact GELU, `x * Phi(x)`, Phi by the error function."""
    return jax.nn.gelu(x, approximate=False)


class VisionTransformer(nn.Module):
    """ViT of Dosovitskiy et al. 2020, and DeiT of Touvron et al. 2020, without the classifier.

    The last block computes the class token only, since nothing else of it is used.

    Attributes:
      image_size: side of the square input, in pixels.
      patch_size: side of a patch, in pixels.
      width, layers, heads: of the transformer; the features have length `width`.
      dtype: computation dtype; None follows the inputs and parameters.
      remat: what of a block is computed again for gradients, one of `remat.CHOICES`.
    """

    image_size: int
    patch_size: int
    width: int
    layers: int
    heads: int
    dtype: DTypeLike | None = None
    remat: str = "none"

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Maps normalised images `[batch, size, size, 3]` to features `[batch, width]`."""
        check_images(images, self.image_size)
        x = embed_patches(self, images, nn.initializers.normal(0.02), use_bias=True)
        block = functools.partial(
            remat.block(Block, self.remat, static=(QUERIES,)),
            self.heads,
            dtype=self.dtype,
            activation=gelu,
            epsilon=EPSILON,
        )
        for i in range(self.layers):
            x = block(name=f"blocks_{i}")(x, 1 if i == self.layers - 1 else None)
        return layer_norm("ln_post", self.dtype, EPSILON)(x[:, 0])
