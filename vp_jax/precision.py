"""How exactly numbers are computed."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def wide(x: jax.Array) -> jax.Array:
    """A floating array in float32, or as it is where it is float64."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
