"""CLIP's image tower as a vision transformer (Radford et al. 2021, arXiv 2103.00020)."""

from __future__ import annotations

import flax.linen as nn
import jax
from jax.typing import DTypeLike

from vp_jax.backbones.layers import remat
from vp_jax.backbones.layers.inputs import check_images
from vp_jax.backbones.layers.patches import embed_patches
from vp_jax.backbones.layers.transformer import QUERIES, Block, layer_norm


class VisionTransformer(nn.Module):
    """CLIP's ViT: patch embedding, class token, pre-norm blocks, linear projection.

    The last block computes the class token only, since nothing else of it is used.

    Attributes:
      image_size: side of the square input, in pixels.
      patch_size: side of a patch, in pixels.
      width, layers, heads: of the transformer.
      embed_dim: length of the returned features.
      dtype: computation dtype; None follows the inputs and parameters.
      remat: what of a block is computed again for gradients, one of `remat.CHOICES`.
    """

    image_size: int
    patch_size: int
    width: int
    layers: int
    heads: int
    embed_dim: int
    dtype: DTypeLike | None = None
    remat: str = "none"

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Maps normalised images `[batch, size, size, 3]` to features `[batch, embed_dim]`."""
        check_images(images, self.image_size)
        normal = nn.initializers.normal(self.width**-0.5)
        x = embed_patches(self, images, normal, use_bias=False)
        x = layer_norm("ln_pre", self.dtype)(x)
        block = remat.block(Block, self.remat, static=(QUERIES,))
        for i in range(self.layers):
            queries = 1 if i == self.layers - 1 else None
            x = block(self.heads, dtype=self.dtype, name=f"blocks_{i}")(x, queries)
        x = layer_norm("ln_post", self.dtype)(x[:, 0])
        return nn.Dense(self.embed_dim, use_bias=False, dtype=self.dtype, name="proj")(x)
