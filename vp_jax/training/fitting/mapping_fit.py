"""Fits an output mapping by a pass over a split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from vp_jax import data
from vp_jax.host.progress_bar import progress_bar
from vp_jax.step.batch import Batch
from vp_jax.step.forward import Parts
from vp_jax.step.sharding import AS_PLACED, by_example, put, replicated
from vp_jax.step.tally import Tally
from vp_jax.training.feed import Feed

Fit = Callable[[Parts, data.Split, jax.Array], dict[str, Any]]


def make_fit(tally: Tally, feed: Feed, mesh: Mesh) -> Fit:
    """A function `(parts, split, key) -> head parameters`, compiled once for each set of parts.

    The key places random patches, anew for every batch, the same at every call.
    """
    everywhere, examples = replicated(mesh), by_example(mesh)

    def count(
        counts: jax.Array,
        parts: Parts,
        store: Any,
        batch: Batch,
        key: jax.Array,
        number: jax.Array,
    ) -> jax.Array:
        rng, batch = jax.random.fold_in(key, number), feed.fetch(store, batch)
        source_logits = tally.outputs(parts, batch.image, rng=rng, features=batch.features)
        return tally.add(counts, source_logits, batch)

    step = jax.jit(
        count,
        in_shardings=(everywhere, AS_PLACED, examples, examples, everywhere, everywhere),
        out_shardings=everywhere,
        donate_argnums=0,
    )

    def fit(parts: Parts, split: data.Split, key: jax.Array) -> dict[str, Any]:
        counts = put(tally.zero(), everywhere)
        split = split if "prompt" in parts else split.unprompted()
        with progress_bar(len(split), "mapping classes", delay=2, leave=False) as bar:
            for number, batch in enumerate(feed.eval_batches(split)):
                counts = step(counts, parts, feed.store, batch, key, np.uint32(number))
                bar.update(feed.batch_size)
        return tally.fit(np.asarray(jax.device_get(counts)))

    return fit
