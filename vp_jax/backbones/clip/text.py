"""CLIP's text tower: a causal transformer read at the end-of-text token (arXiv 2103.00020)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from vp_jax.backbones.layers.transformer import Block, layer_norm


class TextTransformer(nn.Module):
    """CLIP's text transformer.

    Attributes:
      vocab_size: number of token ids; the end-of-text token has the highest one.
      context_length: number of tokens in a row of input.
      width, layers, heads: of the transformer.
      embed_dim: length of the returned features.
    """

    vocab_size: int
    context_length: int
    width: int
    layers: int
    heads: int
    embed_dim: int

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Maps token ids `[batch, context_length]`, int32, to features `[batch, embed_dim]`.

        The mask is causal only: id 0 is a real token, and what stands behind the end-of-text
        token cannot reach it.
        """
        x = nn.Embed(
            self.vocab_size,
            self.width,
            embedding_init=nn.initializers.normal(0.02),
            name="token_embedding",
        )(tokens)
        positions = self.param(
            "positional_embedding",
            nn.initializers.normal(0.01),
            (self.context_length, self.width),
        )
        x = x + positions[: tokens.shape[1]].astype(x.dtype)
        for i in range(self.layers):
            x = Block(self.heads, causal=True, name=f"blocks_{i}")(x)
        end = jnp.argmax(tokens, axis=-1)
        x = jnp.take_along_axis(x, end[:, None, None], axis=1)[:, 0]
        x = layer_norm("ln_final")(x)
        return nn.Dense(self.embed_dim, use_bias=False, name="proj")(x)
