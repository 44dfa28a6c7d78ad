"""Counts of source classes against classes, which output mappings are fitted to."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax import heads
from vp_jax.prompts.views import Combine, combined
from vp_jax.step.batch import Batch
from vp_jax.step.forward import Forward, Parts, head_params


class Tally(NamedTuple):
    """How the images of a pass are counted.

    Attributes:
      outputs: from parts and images to source logits `[B, sources]`.
      head: whose votes are counted, and which is fitted to the counts.
      sources: number of source classes.
      classes: number of downstream classes.
      combine: of the prompt, where it makes several images of one: each of them is counted.
    """

    outputs: Forward
    head: heads.Head
    sources: int
    classes: int
    combine: Combine | None = None

    def zero(self) -> jax.Array:
        """Counts before the first image, `[sources, classes]` float32."""
        return heads.zero_counts(self.sources, self.classes)

    def logits(self, parts: Parts, source_logits: jax.Array, batch: Batch) -> jax.Array:
        """The logits over the downstream classes, `[B, classes]`, of those of source classes."""
        logits = self.head.apply(head_params(parts), source_logits)
        return combined(logits, len(batch.label), self.combine)

    def add(self, counts: jax.Array, source_logits: jax.Array, batch: Batch) -> jax.Array:
        """Counts `[sources, classes]` with those of a batch added; masked rows count nothing."""
        assert self.head.votes is not None
        votes = self.head.votes(source_logits, self.classes)
        views = len(source_logits) // len(batch.label)
        labels, mask = (jnp.repeat(x, views) for x in (batch.label, batch.mask))
        return heads.add_votes(counts, votes, labels, mask)

    def fit(self, counts: np.ndarray) -> dict[str, Any]:
        """The head's parameters that fit counts, on the host."""
        assert self.head.fit is not None
        return self.head.fit(counts)
