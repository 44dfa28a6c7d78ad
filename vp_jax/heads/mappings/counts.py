"""How often each source class is predicted for images of each downstream class."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from vp_jax.errors import UserError


def zero_counts(sources: int, classes: int) -> jax.Array:
    """Counts before the first vote: zeros [Ks, K], float32."""
    return jnp.zeros((sources, classes), jnp.float32)


def add_votes(
    counts: jax.Array,
    votes: tuple[jax.Array, jax.Array],
    labels: ArrayLike,
    mask: ArrayLike,
) -> jax.Array:
    """Adds the votes of one batch to the counts.

    Args:
      counts: [Ks, K], float32.
      votes: source classes [B, k], int32, and their weights [B, k], float32.
      labels: the downstream class of every image, [B], integers.
      mask: [B]; images where it is false or 0 count nothing, whatever their votes and labels are.

    Returns:
      [Ks, K], float32.
    """
    sources, weights = votes
    weights = jnp.where(jnp.asarray(mask).astype(bool)[:, None], weights, 0.0)
    return counts.at[sources, jnp.asarray(labels)[:, None]].add(weights, mode="drop")


def top_vote(source_logits: jax.Array, classes: int) -> tuple[jax.Array, jax.Array]:
    """One vote of weight 1 for the source class with the largest logit (ties: the lowest).

    Args:
      source_logits: [B, Ks].
      classes: K; not used.

    Returns:
      Source classes [B, 1], int32, and weights [B, 1], float32.
    """
    del classes
    best = jnp.argmax(source_logits, axis=-1, keepdims=True).astype(jnp.int32)
    return best, jnp.ones(best.shape, jnp.float32)


def check_counts(counts: ArrayLike) -> np.ndarray:
    """Returns counts as a numpy array; refuses what is not [Ks, K], finite and at least 0."""
    counts = np.asarray(jax.device_get(counts))
    if counts.ndim != 2 or not counts.size:
        raise UserError(
            f"counts must be [source classes, classes], got shape {counts.shape}; start from"
            " heads.zero_counts(sources, classes)"
        )
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise UserError(
            "counts hold numbers that are negative or not finite, so a mapping cannot be fitted:"
            " look for logits of the backbone that are not finite"
        )
    return counts
