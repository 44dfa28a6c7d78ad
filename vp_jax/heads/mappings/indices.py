"""Logits of chosen source classes: what every mapping by a table of indices applies."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vp_jax.heads.base import Params


def select(params: Params, source_logits: jax.Array) -> jax.Array:
    """The logit of class i is the logit of source class `indices[i]`.

    Args:
      params: `indices`, [K], int32. An index that `source_logits` has not gives NaN, which stops a
        run, and never another class's logit.
      source_logits: [B, Ks].

    Returns:
      [B, K], float32.
    """
    return jnp.take(source_logits.astype(jnp.float32), params["indices"], axis=-1, mode="fill")


def first_indices(sources: int, classes: int) -> jax.Array:
    """0, 1, 2, ... for every class, from 0 again after the last source class: [K], int32."""
    return jnp.arange(classes, dtype=jnp.int32) % sources
