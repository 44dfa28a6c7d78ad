"""Counts of source classes against classes, which output mappings are fitted to."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from vp_jax import heads
from vp_jax.step.batch import Batch
from vp_jax.step.forward import Forward


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
        """Counts `[sources, classes]` with those of a batch added; masked rows count nothing."""
        assert self.head.votes is not None
        votes = self.head.votes(source_logits, self.classes)
        return heads.add_votes(counts, votes, batch.label, batch.mask)

    def fit(self, counts: np.ndarray) -> dict[str, Any]:
        """The head's parameters that fit counts, on the host."""
        assert self.head.fit is not None
        return self.head.fit(counts)
