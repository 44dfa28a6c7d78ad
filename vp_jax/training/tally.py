"""Counts of source classes against classes, which output mappings are fitted to."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import tqdm
from jax.sharding import Mesh

from vp_jax import data, heads
from vp_jax.training.batching import eval_batches
from vp_jax.training.forward import Forward, Parts
from vp_jax.training.sharding import by_example, put, replicated
from vp_jax.training.step import Batch

Fit = Callable[[Parts, data.Split], dict[str, Any]]


class Tally(NamedTuple):
    """How the images of a pass are counted.

    Attributes:
      outputs: from parts and images to source logits `[B, sources]`.
      head: whose votes are counted, and which is fitted to the counts.
      sources: number of source classes.
      classes: number of downstream classes.
    """

    outputs: Forward
    head: heads.Head
    sources: int
    classes: int

    def zero(self) -> jax.Array:
        """Counts before the first image, `[sources, classes]` float32."""
        return heads.zero_counts(self.sources, self.classes)

    def add(self, counts: jax.Array, source_logits: jax.Array, batch: Batch) -> jax.Array:
        """Counts with those of a batch added; masked rows count for nothing."""
        votes = self.head.votes(source_logits, self.classes)
        return heads.add_votes(counts, votes, batch.label, batch.mask)


def make_fit(tally: Tally, key: jax.Array, batch_size: int, mesh: Mesh) -> Fit:
    """A function `(parts, split) -> head parameters`: a pass over a split, and the fit to it.

    The key places random patches, anew for every batch, the same at every call.
    """
    everywhere = replicated(mesh)

    def count(
        counts: jax.Array, parts: Parts, batch: Batch, key: jax.Array, number: jax.Array
    ) -> jax.Array:
        rng = jax.random.fold_in(key, number)
        return tally.add(counts, tally.outputs(parts, batch.image, rng=rng), batch)

    step = jax.jit(
        count,
        in_shardings=(everywhere, everywhere, by_example(mesh), everywhere, everywhere),
        out_shardings=everywhere,
        donate_argnums=0,
    )

    def fit(parts: Parts, split: data.Split) -> dict[str, Any]:
        counts = put(np.zeros((tally.sources, tally.classes), np.float32), everywhere)
        with tqdm.tqdm(
            total=len(split),
            desc="mapping classes",
            unit=" images",
            delay=2,
            leave=False,
            mininterval=0.2 if sys.stderr.isatty() else 30,
        ) as bar:
            for number, batch in enumerate(eval_batches(split, batch_size, mesh)):
                counts = step(counts, parts, batch, key, np.uint32(number))
                bar.update(batch_size)
        return tally.head.fit(np.asarray(jax.device_get(counts)))

    return fit
