"""Mappings by frequency that average several source classes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax.heads.base import Head, Params, check_sizes
from vp_jax.heads.mappings import matching
from vp_jax.heads.mappings.counts import check_counts, top_vote
from vp_jax.heads.mappings.frequency import shared
from vp_jax.heads.weights import times
from vp_jax.prompts.checks import check_int


def mean_frequency(sources: int = 3, many_to_one: bool = False) -> Head:
    """The mean logit of the source classes predicted most often, found once before training.

    The counts are those of `frequency`. The pair of a source class and a class with the largest
    count is taken first, and so on, each source class once, until every class has `sources` of
    them; ties as there. AutoVP's FreqMap (Tsao et al., ICLR 2024, 2310.08381, with 1, 5 or 10 of
    them) fills up with source classes that were never predicted for a class where there are fewer;
    here the mean is over those that were. A class without any count takes one source class, as
    with `frequency`; that is this head with one source class.

    Args:
      sources: how many, at least 1.
      many_to_one: whether every class takes its own most frequent source classes, which others may
        take too.

    Returns:
      The head. It reads logits; its parameters are `weights`, [Ks, K], float32, whose columns sum
      to 1; until `fit` they all are 1 / Ks.

    Raises:
      UserError: `sources` is below 1, or `many_to_one` no bool; in `init` and `fit` for fewer than
        `sources` source classes a class, unless `many_to_one`; in `fit` for counts that are
        negative, not finite or not [Ks, K].
    """
    return _mean("mean_frequency", "once", sources, many_to_one)


def mean_iterative(sources: int = 3, many_to_one: bool = False) -> Head:
    """The same found anew before every epoch, from images with the prompt as it is by then.

    AutoVP's IterMap. The arguments, parameters and errors are those of `mean_frequency`.
    """
    return _mean("mean_iterative", "epoch", sources, many_to_one)


def _mean(name: str, refit: str, sources: int, many_to_one: bool) -> Head:
    sources = check_int(f"the number of source classes of head {name!r}", sources, 1)
    matching.check_many_to_one(many_to_one)

    def init_fn(rng: jax.Array | None, inputs: int, classes: int) -> Params:
        del rng
        inputs, classes = check_sizes(inputs, classes)
        if not many_to_one:
            matching.check_one_to_one(inputs, classes, sources)
        return {"weights": jnp.full((inputs, classes), 1.0 / inputs, jnp.float32)}

    def apply_fn(params: Params, source_logits: jax.Array) -> jax.Array:
        return times(source_logits, params["weights"])

    def fit(counts: np.ndarray) -> Params:
        counts = check_counts(counts)
        if many_to_one:
            first, order = shared(counts), np.argsort(-counts, axis=0, kind="stable")[:sources]
        else:
            order = matching.greedy(counts, sources).T
            first = order[0]
        chosen = np.take_along_axis(counts, order, axis=0) > 0
        weights = np.zeros(counts.shape, np.float32)
        np.put_along_axis(weights, order, chosen.astype(np.float32), axis=0)
        empty = np.flatnonzero(~chosen.any(axis=0))
        weights[first[empty], empty] = 1.0
        return {"weights": weights / weights.sum(axis=0)}

    return Head("logits", init_fn, apply_fn, False, refit, top_vote, fit, name=name)
