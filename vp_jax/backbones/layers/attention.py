"""Scaled dot-product attention by the fastest kernel that the device has."""

from __future__ import annotations

import jax
import jax.numpy as jnp

FUSED_DTYPES = (jnp.bfloat16, jnp.float16)
LEAST_CAPABILITY = (8, 0)  # of CUDA, for cuDNN's flash attention
MOST_HEAD_WIDTH = 128


def attention(
    query: jax.Array, key: jax.Array, value: jax.Array, *, causal: bool = False
) -> jax.Array:
    """`softmax(Q K^T / sqrt(D)) V` by heads, the softmax in float32 (Vaswani et al. 2017).

    Args:
      query: `[batch, queries, heads, D]`.
      key: `[batch, tokens, heads, D]`.
      value: likewise.
      causal: whether a query sees only the tokens up to its own place.

    Returns:
      `[batch, queries, heads, D]`.
    """
    kernel = "cudnn" if is_fused(query.dtype, query.shape[-1]) else "xla"
    return jax.nn.dot_product_attention(query, key, value, is_causal=causal, implementation=kernel)


def is_fused(dtype: jnp.dtype, head_width: int) -> bool:
    """Whether cuDNN's flash attention, which stores no scores, computes heads of this kind here."""
    if dtype not in FUSED_DTYPES or head_width % 8 or head_width > MOST_HEAD_WIDTH:
        return False
    device = jax.local_devices()[0]
    if "cuda" not in device.client.platform_version:
        return False
    capability = tuple(int(x) for x in device.compute_capability.split("."))
    return capability >= LEAST_CAPABILITY
