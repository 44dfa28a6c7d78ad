"""Loss, accuracy and predictions over a whole split, every example exactly once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from vp_jax import data
from vp_jax.training.batching import eval_batches
from vp_jax.training.forward import Forward, Parts
from vp_jax.training.sharding import by_example, replicated
from vp_jax.training.step import Sums, make_eval_step, means


class Evaluation(NamedTuple):
    """What parts do on a split.

    Attributes:
      loss: mean cross-entropy in nats.
      accuracy: share of right answers, in [0, 1].
      predictions: the most likely class of every example, int `[N]`.
    """

    loss: float
    accuracy: float
    predictions: np.ndarray


Evaluate = Callable[[Parts, data.Split], Evaluation]


def make_evaluate(forward: Forward, key: jax.Array, batch_size: int, mesh: Mesh) -> Evaluate:
    """A function `(parts, split) -> Evaluation`, compiled once for each set of parts.

    The key places random patches, anew for every batch, the same at every call.
    """
    everywhere = replicated(mesh)
    step = jax.jit(
        make_eval_step(forward),
        in_shardings=(everywhere, everywhere, by_example(mesh)),
        out_shardings=everywhere,
    )

    def evaluate(parts: Parts, split: data.Split) -> Evaluation:
        totals = np.zeros(len(Sums._fields), np.float64)
        predictions = []
        for number, batch in enumerate(eval_batches(split, batch_size, mesh)):
            sums, predicted = step(parts, jax.random.fold_in(key, number), batch)
            totals += np.array(jax.device_get(sums), np.float64)
            predictions.append(np.asarray(predicted)[:batch_size])
        every = np.concatenate(predictions)[: len(split)]
        return Evaluation(**means(Sums(*totals)), predictions=every)

    return evaluate
