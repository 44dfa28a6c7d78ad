"""Modules as functions of their parameters."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


def run(module: nn.Module, params: Any, inputs: jax.Array) -> jax.Array:
    """What a module without variables of other kinds makes of its inputs, as float32."""
    outputs: Any = module.apply({"params": params}, inputs)
    return outputs.astype(jnp.float32)
