"""CLIP's image tower as a vision transformer (Radford et al. 2021, arXiv 2103.00020)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from vp_jax.backbones import remat
from vp_jax.backbones.inputs import check_images
from vp_jax.backbones.transformer import QUERIES, Block, layer_norm


def patches(images: jax.Array, size: int) -> jax.Array:
    """Cuts images into non-overlapping squares.

    Args:
      images: `[batch, height, width, channels]`, both sides multiples of `size`.
      size: side of a patch, in pixels.

    Returns:
      `[batch, height / size * width / size, size * size * channels]`, patches in row-major
      order, each flattened as (row, column, channel).
    """
    batch, height, width, channels = images.shape
    rows, columns = height // size, width // size
    x = images.reshape(batch, rows, size, columns, size, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, rows * columns, -1)


def embed_patches(
    module: nn.Module, images: jax.Array, init: nn.initializers.Initializer, *, use_bias: bool
) -> jax.Array:
    """Embeds patches, puts a class token in front and adds positions, inside a compact module.

    Args:
      module: whose parameters these become; has `patch_size`, `width` and `dtype`.
      images: `[batch, size, size, 3]`.
      init: of the class token and the positions.
      use_bias: of the embedding.

    Returns:
      `[batch, 1 + patches, width]`.
    """
    x = patches(images, module.patch_size)
    embedding = nn.Dense(
        module.width, use_bias=use_bias, dtype=module.dtype, name="patch_embedding"
    )
    x = embedding(x)
    class_token = module.param("class_embedding", init, (module.width,)).astype(x.dtype)
    x = jnp.concatenate([jnp.broadcast_to(class_token, (x.shape[0], 1, module.width)), x], axis=1)
    return x + module.param("positional_embedding", init, x.shape[1:]).astype(x.dtype)


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
    dtype: jnp.dtype | None = None
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
