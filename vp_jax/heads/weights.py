"""Logits by a matrix: what every head with one weight for each pair applies."""

from __future__ import annotations

import jax

from vp_jax.errors import UserError
from vp_jax.precision import wide


def times(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """`x @ matrix` in float32, or float64 if x has it.

    Args:
      x: the backbone's output, [B, inputs].
      matrix: [inputs, K], float32.

    Returns:
      [B, K].

    Raises:
      UserError: the head was made for another number of inputs.
    """
    if x.shape[-1] != matrix.shape[0]:
        raise UserError(
            f"the head has weights for {matrix.shape[0]} inputs, but the backbone gives"
            f" {x.shape[-1]}: draw or restore a head for this backbone"
        )
    return wide(x) @ matrix
