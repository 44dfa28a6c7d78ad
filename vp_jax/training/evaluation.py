"""Loss, accuracy, metric and predictions over a whole split, every example exactly once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from vp_jax import data
from vp_jax.data import scores
from vp_jax.training.feed import Feed
from vp_jax.training.forward import Forward, Parts
from vp_jax.training.sharding import by_example, replicated
from vp_jax.training.step import Batch, Sums, make_eval_step, means


class Evaluation(NamedTuple):
    """What parts do on a split.

    Attributes:
      loss: mean cross-entropy in nats.
      accuracy: share of right answers, in [0, 1].
      metric: the task's metric, in [0, 1]; the accuracy where that is it.
      predictions: the most likely class of every example, int `[N]`.
    """

    loss: float
    accuracy: float
    metric: float
    predictions: np.ndarray


Evaluate = Callable[[Parts, data.Split], Evaluation]


def make_evaluate(
    forward: Forward, key: jax.Array, task: data.TaskData, feed: Feed, mesh: Mesh
) -> Evaluate:
    """A function `(parts, split) -> Evaluation`, compiled once for each set of parts.

    The key places random patches, anew for every batch, the same at every call.
    """
    everywhere, examples = replicated(mesh), by_example(mesh)
    eval_step = make_eval_step(forward)

    def run(parts: Parts, store: Any, key: jax.Array, batch: Batch) -> tuple[Sums, jax.Array]:
        return eval_step(parts, key, feed.fetch(store, batch))

    step = jax.jit(
        run,
        in_shardings=(everywhere, examples, everywhere, examples),
        out_shardings=everywhere,
    )

    def evaluate(parts: Parts, split: data.Split) -> Evaluation:
        totals = np.zeros(len(Sums._fields), np.float64)
        predictions = []
        for number, batch in enumerate(feed.eval_batches(split)):
            sums, predicted = step(parts, feed.store, jax.random.fold_in(key, number), batch)
            totals += np.array(jax.device_get(sums), np.float64)
            predictions.append(np.asarray(predicted)[: feed.plan.batch_size])
        every = np.concatenate(predictions)[: len(split)]
        total = means(Sums(*totals))
        metric = total["accuracy"]
        if task.task.metric != "accuracy":
            groups = {"groups": split.groups, "group_names": task.group_names}
            metric = scores.score(task.task.metric, every, split.labels, **groups)
        return Evaluation(**total, metric=metric, predictions=every)

    return evaluate
