"""Scaled dot-product attention by the fastest kernel that the device has."""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Iterator
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

FUSED_DTYPES = (jnp.bfloat16, jnp.float16)
LEAST_CAPABILITY = (8, 0)  # of CUDA, for cuDNN's flash attention
MOST_HEAD_WIDTH = 128

_PORTABLE = contextvars.ContextVar("portable", default=False)


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """Within it, programs are traced with attention that every platform can compute."""
    token = _PORTABLE.set(True)
    try:
        yield
    finally:
        _PORTABLE.reset(token)


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
    if _PORTABLE.get() or jax.local_devices()[0].platform == "cpu":
        return _heads_first(query, key, value, causal)
    if query.shape[1] > 1 and is_fused(query.dtype, query.shape[-1]):
        return even_lengths(query, key, value, causal, "cudnn")
    return jax.nn.dot_product_attention(query, key, value, is_causal=causal, implementation="xla")


def mean_weights(query: jax.Array, key: jax.Array) -> jax.Array:
    """What each query takes of each token, `softmax(Q K^T / sqrt(D))`, the mean over heads.

    Args:
      query: `[batch, queries, heads, D]`.
      key: `[batch, tokens, heads, D]`.

    Returns:
      float32 `[batch, queries, tokens]`; rows sum to 1.
    """
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key, preferred_element_type=jnp.float32)
    return jax.nn.softmax(scores * query.shape[-1] ** -0.5).mean(axis=1)


def even_lengths(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    causal: bool,
    kernel: Literal["cudnn", "xla"],
) -> jax.Array:
    """The same by one of JAX's kernels, odd numbers of tokens made even by one that nobody sees.

    JAX refuses to differentiate cuDNN's attention of odd lengths, and a ViT's are odd mostly: the
    patches of an image and a class token.
    """
    batch, queries, keys = *query.shape[:2], key.shape[1]
    lengths: dict[str, Any] = {}
    if queries % 2 or keys % 2:
        lengths["query_seq_lengths"] = jnp.full(batch, queries, jnp.int32)
        lengths["key_value_seq_lengths"] = jnp.full(batch, keys, jnp.int32)
        query, key, value = (
            jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, 0), (0, 0))) for x in (query, key, value)
        )
    out = jax.nn.dot_product_attention(
        query, key, value, is_causal=causal, implementation=kernel, **lengths
    )
    return out[:, :queries]


def _heads_first(query: jax.Array, key: jax.Array, value: jax.Array, causal: bool) -> jax.Array:
    """The same, with the tokens of a head one after the other in memory.

    XLA's CPU backend multiplies the matrices of interleaved heads much more slowly. The weights'
    sum divides the results, which are fewer than the weights.
    """
    batch, queries, heads, width = query.shape
    query, key, value = (
        x.swapaxes(1, 2).reshape(batch * heads, -1, width)
        for x in (query * width**-0.5, key, value)
    )
    wide = functools.partial(jnp.einsum, preferred_element_type=jnp.float32)
    scores = wide("nqd,nkd->nqk", query, key)
    if causal:
        scores = jnp.where(jnp.tri(scores.shape[1], scores.shape[2], dtype=bool), scores, -jnp.inf)
    weights = jnp.exp(scores - jax.lax.stop_gradient(scores.max(-1, keepdims=True)))
    out = wide("nqk,nkd->nqd", weights.astype(value.dtype), value)
    out = (out / weights.sum(-1, keepdims=True)).astype(value.dtype)
    return out.reshape(batch, heads, queries, width).swapaxes(1, 2)


def is_fused(dtype: DTypeLike, head_width: int) -> bool:
    """Whether cuDNN's flash attention, which stores no scores, computes heads of this kind here."""
    if dtype not in FUSED_DTYPES or head_width % 8 or head_width > MOST_HEAD_WIDTH:
        return False
    device = jax.local_devices()[0]
    if "cuda" not in device.client.platform_version:
        return False
    capability = tuple(int(x) for x in device.compute_capability.split("."))
    return capability >= LEAST_CAPABILITY
