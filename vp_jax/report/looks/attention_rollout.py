"""Which patches the class token of a ViT has taken its features from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from vp_jax.errors import UserError


def attention_rollout(weights: Sequence[jax.Array]) -> jax.Array:
    r"""The attention of all blocks as one map, by Abnar and Zuidema (arXiv 2005.00928).

    With A the mean over heads of a block's attention, a block passes \((A + I) / 2\) of its tokens
    on, the half being the residual path; the product of these over all blocks says how much of each
    patch is in the class token.

    Args:
      weights: of each block, `[B, queries, tokens]`, rows summing to 1; the class token is the
        first, and the last block needs no other query.

    Returns:
      float32 `[B, side, side]`, of the patches row by row.

    Raises:
      UserError: the patches are no square.
    """
    *_, last = weights
    tokens = last.shape[-1]
    side = math.isqrt(tokens - 1)
    if side * side != tokens - 1:
        raise UserError(f"{tokens - 1} patches are no square, so their attention is no map")
    passed = jax.nn.one_hot(jnp.zeros(len(last), int), tokens)
    for block in reversed(weights):
        passed = (jnp.einsum("bq,bqt->bt", passed[:, : block.shape[1]], block) + passed) / 2
    return passed[:, 1:].reshape(-1, side, side)
