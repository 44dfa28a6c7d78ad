"""Several images of one: what the classes are when a model has seen all of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

Combine = Callable[[jax.Array], jax.Array]
"""From the logits of all views of every image, `[B, V, K]`, to logits `[B, K]`."""


def mean_probabilities(logits: jax.Array) -> jax.Array:
    """The logarithms of the mean over views of the classes' probabilities."""
    shares = jax.nn.log_softmax(logits) - math.log(logits.shape[1])
    return jax.nn.logsumexp(shares, axis=1)


def by_confidence(logits: jax.Array) -> jax.Array:
    """Likewise, of a mean weighted by log K less the entropy of each view's probabilities."""
    logs = jax.nn.log_softmax(logits)
    negentropy = (jnp.exp(logs) * logs).sum(axis=2, keepdims=True)
    certainty = math.log(logits.shape[2]) + negentropy
    weights = jnp.maximum(certainty, 0.0) + 1e-6  # alike where no view knows anything
    return jax.nn.logsumexp(logs + jnp.log(weights / weights.sum(axis=1, keepdims=True)), axis=1)


def own_class(logits: jax.Array) -> jax.Array:
    """Of the view of each class, of which there are as many as classes, its log-probability."""
    return jnp.diagonal(jax.nn.log_softmax(logits), axis1=1, axis2=2)


def flat(images: jax.Array) -> jax.Array:
    """Views `[V, B, H, W, C]` as one batch, `[B * V, H, W, C]`, those of an image side by side, so
    that images that are split among devices stay where they are; others as they are."""
    if images.ndim == 4:
        return images
    return images.swapaxes(0, 1).reshape(-1, *images.shape[2:])


def combined(logits: jax.Array, count: int, combine: Combine | None) -> jax.Array:
    """The logits `[B, K]` of `count` images of those of their views, `[B * V, K]`.

    Those of a single view stay as they are.
    """
    if combine is None or logits.shape[0] == count:
        return logits
    return combine(logits.reshape(count, -1, logits.shape[-1]))
