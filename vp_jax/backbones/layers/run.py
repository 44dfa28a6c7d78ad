"""Modules as functions of their parameters."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vp_jax.backbones.layers.transformer import ATTENTION


def run(module: nn.Module, params: Any, inputs: jax.Array) -> jax.Array:
    """What a module without variables of other kinds makes of its inputs, as float32."""
    outputs: Any = module.apply({"params": params}, inputs)
    return outputs.astype(jnp.float32)


def attention_of(module: nn.Module, params: Any, inputs: jax.Array) -> list[jax.Array]:
    """What the tokens of each block of a transformer take of those before it, first block first.

    Returns:
      `mean_weights` of each, float32 `[B, queries, tokens]`; the class token is the first, and the
      last block has no other query.
    """
    _, found = module.apply({"params": params}, inputs, mutable=[ATTENTION])
    blocks: Any = found[ATTENTION]
    ordered = sorted(blocks, key=lambda name: int(name.rpartition("_")[2]))
    return [blocks[name]["attn"]["weights"][0] for name in ordered]
