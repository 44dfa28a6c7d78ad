"""The pre-norm transformer block that CLIP's two towers and the classifying ViTs share."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from vp_jax.backbones.layers.attention import attention, mean_weights
from vp_jax.backbones.layers.layer_norm import LayerNorm

LAYER_NORM_EPSILON = 1e-5  # in both towers of CLIP
ATTENTION = "attention"
"""The collection of variables that has each layer's `mean_weights`, where it is asked for."""
QUERIES = 2  # the place of `queries` among the arguments of a block, `self` being 0


def layer_norm(
    name: str, dtype: DTypeLike | None = None, epsilon: float = LAYER_NORM_EPSILON
) -> LayerNorm:
    """LayerNorm, by default with CLIP's epsilon, 1e-5."""
    return LayerNorm(epsilon, dtype=dtype, name=name)


def quick_gelu(x: jax.Array) -> jax.Array:
    """The sigmoid approximation of GELU that CLIP was trained with: `x * sigmoid(1.702 x)`."""
    return x * jax.nn.sigmoid(1.702 * x)


class Attention(nn.Module):
    """Multi-head self-attention with one fused query-key-value projection.

    Attributes:
      heads: number of heads; must divide the width.
      causal: whether a token sees only itself and earlier ones.
      dtype: computation dtype; None follows the inputs and parameters.
    """

    heads: int
    causal: bool = False
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: jax.Array, queries: int | None = None) -> jax.Array:
        """Attends over all tokens.

        Args:
          x: `[batch, tokens, width]`.
          queries: compute the output of the first `queries` tokens only (all when None).

        Returns:
          `[batch, queries, width]`.
        """
        batch, tokens, width = x.shape
        head_width = width // self.heads
        kernel = self.param("qkv_kernel", nn.initializers.xavier_uniform(), (width, 3 * width))
        bias = self.param("qkv_bias", nn.initializers.zeros, (3 * width,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)

        if queries is None:
            qkv = x @ kernel + bias
            q, k, v = jnp.split(qkv.reshape(batch, tokens, 3 * self.heads, head_width), 3, axis=2)
        else:
            q = x[:, :queries] @ kernel[:, :width] + bias[:width]
            q = q.reshape(batch, queries, self.heads, head_width)
            kv = x @ kernel[:, width:] + bias[width:]
            k, v = jnp.split(kv.reshape(batch, tokens, 2 * self.heads, head_width), 2, axis=2)

        if self.is_mutable_collection(ATTENTION) and not self.is_initializing():
            self.sow(ATTENTION, "weights", mean_weights(q, k))
        mixed = attention(q, k, v, causal=self.causal).reshape(batch, -1, width)
        return nn.Dense(width, dtype=self.dtype, name="out")(mixed)


class Block(nn.Module):
    """Residual block: attention and a four times wider MLP, each after a LayerNorm.

    Attributes:
      heads, causal, dtype: as in `Attention`.
      activation: of the MLP; by default CLIP's.
      epsilon: of both LayerNorms; by default CLIP's.
    """

    heads: int
    causal: bool = False
    dtype: DTypeLike | None = None
    activation: Callable[[jax.Array], jax.Array] = quick_gelu
    epsilon: float = LAYER_NORM_EPSILON

    @nn.compact
    def __call__(self, x: jax.Array, queries: int | None = None) -> jax.Array:
        """Maps `[batch, tokens, width]` to `[batch, queries, width]` (all tokens when None)."""
        width = x.shape[-1]
        attend = Attention(self.heads, self.causal, self.dtype, name="attn")
        attended = attend(layer_norm("ln_1", self.dtype, self.epsilon)(x), queries)
        x = x[:, :queries] + attended
        hidden = nn.Dense(4 * width, dtype=self.dtype, name="mlp_fc")(
            layer_norm("ln_2", self.dtype, self.epsilon)(x)
        )
        return x + nn.Dense(width, dtype=self.dtype, name="mlp_proj")(self.activation(hidden))
