"""Bayesian-guided label mapping: every source class counts for every class, by its probability.

Cai, Ye, Feng, Qi and Liu, "Bayesian-guided Label Mapping for Visual Reprogramming" (NeurIPS 2024,
arXiv 2410.24018), read together with the authors' code, github.com/tmlr-group/BayesianLM.
"""

from __future__ import annotations

import math
import numbers
from typing import TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax.errors import UserError
from vp_jax.heads.base import Head, Params, check_sizes
from vp_jax.heads.mappings.counts import check_counts, top_vote
from vp_jax.heads.weights import times


def bayesian(smoothing: float = 1.0) -> Head:
    """Source logits weighted by how probable each class is given each source class (BLM).

    With n[s, t] the number of training images of class t whose largest logit is source class s,
    and lambda = `smoothing`:

        p[s, t] = n[s, t] / (lambda + sum over t' of n[s, t'])
        weights[s, t] = p[s, t] / sum over s' of p[s', t]
        logits[b, t] = sum over s of source_logits[b, s] * weights[s, t]

    So every column of the weights sums to 1. The weights multiply logits, not probabilities, and
    are found anew before every epoch from images with the prompt, both as in the authors' code.
    Two cases have no value there: a class without images gets equal weights 1 / Ks, and a source
    class never predicted gets weights 0 also where `smoothing` is 0.

    Args:
      smoothing: lambda, at least 0; the authors use 1.

    Returns:
      The head. It reads logits; its parameters are `weights`, [Ks, K], float32; until `fit` they
      all are 1 / Ks, which makes all logits of an image equal.

    Raises:
      UserError: here for a smoothing that is no finite number of at least 0; in `fit` for counts
        that are negative, not finite or not [Ks, K].
    """
    _check_smoothing(smoothing)

    def fit(counts: np.ndarray) -> Params:
        return {"weights": label_weights(counts, smoothing)}

    return Head("logits", _init, _apply, False, "epoch", top_vote, fit, name="bayesian")


def bayesian_plus(smoothing: float = 1.0, top_share: float = 0.15) -> Head:
    """The same weights from the largest probabilities of every image, not its best class (BLM+).

    As `bayesian`, but n[s, t] sums, over the training images of class t, the softmax probability
    of source class s where that is among the image's k largest, k = floor(top_share * K), at least
    1 and at most Ks (the authors' code fails below 1). The k probabilities are not normalised.

    Args:
      smoothing: lambda, at least 0; the authors use 1.
      top_share: the share of the number of downstream classes; above 0; the authors use 0.15.

    Returns:
      The head. It reads logits; its parameters are `weights`, [Ks, K], float32; until `fit` they
      all are 1 / Ks, which makes all logits of an image equal.

    Raises:
      UserError: here for a smoothing that is no finite number of at least 0, or a share that is no
        finite number above 0; in `fit` for counts that are negative, not finite or not [Ks, K].
    """
    _check_smoothing(smoothing)
    if not _finite(top_share) or top_share <= 0:
        raise UserError(
            f"the top share of head 'bayesian_plus' must be a finite number above 0, got"
            f" {top_share!r}; correct --config.head.top_share"
        )

    def votes(source_logits: jax.Array, classes: int) -> tuple[jax.Array, jax.Array]:
        k = math.floor(top_share * classes + 1e-9)  # 0.29 * 100 is below 29
        k = min(max(k, 1), source_logits.shape[-1])
        probabilities = jax.nn.softmax(source_logits.astype(jnp.float32), axis=-1)
        weights, sources = jax.lax.top_k(probabilities, k)
        return sources.astype(jnp.int32), weights

    def fit(counts: np.ndarray) -> Params:
        return {"weights": label_weights(counts, smoothing)}

    return Head("logits", _init, _apply, False, "epoch", votes, fit, name="bayesian_plus")


def label_weights(counts: np.ndarray, smoothing: float) -> np.ndarray:
    """Weights [Ks, K], float32, of counts [Ks, K]; see `bayesian` for the formula."""
    counts = check_counts(counts).astype(np.float64)
    totals = counts.sum(axis=1, keepdims=True) + smoothing
    given_source = counts / np.where(totals > 0, totals, 1.0)
    sums = given_source.sum(axis=0)
    weights = given_source / np.where(sums > 0, sums, 1.0)
    return np.where(sums > 0, weights, 1.0 / len(counts)).astype(np.float32)


def _init(rng: jax.Array | None, inputs: int, classes: int) -> Params:
    del rng
    inputs, classes = check_sizes(inputs, classes)
    return {"weights": jnp.full((inputs, classes), 1.0 / inputs, jnp.float32)}


def _apply(params: Params, source_logits: jax.Array) -> jax.Array:
    return times(source_logits, params["weights"])


def _finite(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    return math.isfinite(value)


def _check_smoothing(smoothing: object) -> None:
    if not _finite(smoothing) or smoothing < 0:
        raise UserError(
            f"the smoothing of a bayesian head must be a finite number of at least 0, got"
            f" {smoothing!r}; correct --config.head.smoothing"
        )
