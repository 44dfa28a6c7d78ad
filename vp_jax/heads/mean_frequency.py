"""Mappings by frequency that average several source classes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax.heads.base import Head, Params, check_sizes
from vp_jax.heads.counts import check_counts, top_vote
from vp_jax.heads.frequency import shared
from vp_jax.heads.weights import times
from vp_jax.prompts.checks import check_int


def mean_frequency(sources: int = 3) -> Head:
    """The mean logit of the source classes predicted most often, found once before training.

    The counts are those of `frequency`; each class takes its `sources` most frequent source
    classes, which others may take too (ties: the lowest). AutoVP's FreqMap (Tsao et al., ICLR 2024,
    2310.08381, with 1, 5 or 10 of them), which fills up with source classes that were never
    predicted where there are fewer; here the mean is over those that were. A class without any
    count takes what `frequency(many_to_one=True)` gives it; that is this head with one source
    class.

    Args:
      sources: how many, at least 1.

    Returns:
      The head. It reads logits; its parameters are `weights`, [Ks, K], float32, whose columns sum
      to 1; until `fit` they all are 1 / Ks.

    Raises:
      UserError: `sources` is below 1; in `fit` for counts that are negative, not finite or not
        [Ks, K].
    """
    return _mean("mean_frequency", "once", sources)


def mean_iterative(sources: int = 3) -> Head:
    """The same found anew before every epoch, from images with the prompt as it is by then.

    AutoVP's IterMap. The argument, the parameters and the errors are those of `mean_frequency`.
    """
    return _mean("mean_iterative", "epoch", sources)


def _mean(name: str, refit: str, sources: int) -> Head:
    sources = check_int(f"the number of source classes of head {name!r}", sources, 1)

    def init_fn(rng: jax.Array | None, inputs: int, classes: int) -> Params:
        del rng
        inputs, classes = check_sizes(inputs, classes)
        return {"weights": jnp.full((inputs, classes), 1.0 / inputs, jnp.float32)}

    def apply_fn(params: Params, source_logits: jax.Array) -> jax.Array:
        return times(source_logits, params["weights"])

    def fit(counts: np.ndarray) -> Params:
        counts = check_counts(counts)
        order = np.argsort(-counts, axis=0, kind="stable")[:sources]
        chosen = np.take_along_axis(counts, order, axis=0) > 0
        weights = np.zeros(counts.shape, np.float32)
        np.put_along_axis(weights, order, chosen.astype(np.float32), axis=0)
        empty = np.flatnonzero(~chosen.any(axis=0))
        weights[shared(counts)[empty], empty] = 1.0
        return {"weights": weights / weights.sum(axis=0)}

    return Head("logits", init_fn, apply_fn, False, refit, top_vote, fit, name=name)
