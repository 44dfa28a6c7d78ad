"""Images as sequences of embedded patches."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp


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
