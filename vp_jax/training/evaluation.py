"""Loss, accuracy, metric and predictions over a whole split, every example exactly once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from vp_jax import data
from vp_jax.data.tasks import scores
from vp_jax.step.batch import Batch
from vp_jax.step.forward import Forward, Parts
from vp_jax.step.sharding import AS_PLACED, by_example, replicated
from vp_jax.step.step import Sums, make_eval_step, means
from vp_jax.training.feed import Feed


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
    forward: Forward,
    key: jax.Array,
    task: data.TaskData,
    feed: Feed,
    mesh: Mesh,
    prompt: Parts | None = None,
) -> Evaluate:
    """A function `(parts, split) -> Evaluation`, compiled once.

    Parts without a prompt are evaluated unprompted.

    Args:
      forward: from parts and images to logits.
      key: places random patches, anew for every batch, the same at every call.
      task: whose metric is taken.
      feed: of the batches.
      mesh: the devices.
      prompt: `{"prompt": parameters}` of any values, so that parts without one need no program of
        their own.
    """
    prompt = prompt or {}
    everywhere, examples = replicated(mesh), by_example(mesh)
    eval_step = make_eval_step(forward)

    def evaluate_batch(
        parts: Parts, store: Any, key: jax.Array, batch: Batch, prompted: jax.Array
    ) -> tuple[Sums, jax.Array]:
        return eval_step(parts, key, feed.fetch(store, batch), prompted)

    step = jax.jit(
        evaluate_batch,
        in_shardings=(AS_PLACED, examples, everywhere, examples, everywhere),
        out_shardings=everywhere,
    )

    def evaluate(parts: Parts, split: data.Split) -> Evaluation:
        prompted = np.bool_("prompt" in parts)
        if not prompted and split.whole is not None:  # these images have a program of their own
            split = split.unprompted()
        else:
            parts = {**prompt, **parts}
        totals = np.zeros(len(Sums._fields), np.float64)
        predictions = []
        for number, batch in enumerate(feed.eval_batches(split)):
            rng = jax.random.fold_in(key, number)
            sums, predicted = step(parts, feed.store, rng, batch, prompted)
            totals += np.array(jax.device_get(sums), np.float64)
            predictions.append(np.asarray(predicted))
        every = np.concatenate(predictions)[: len(split)]
        return to_evaluation(task, split, totals, every)

    return evaluate


def to_evaluation(
    task: data.TaskData, split: data.Split, totals: np.ndarray, predictions: np.ndarray
) -> Evaluation:
    """The evaluation of what was summed, `Sums` as float64 `[3]`, and predicted on a split."""
    total = means(Sums(*totals))
    metric = total["accuracy"]
    if task.task.metric != "accuracy":
        metric = measure(task, split, predictions)
    return Evaluation(**total, metric=metric, predictions=predictions)


def measure(task: data.TaskData, split: data.Split, predictions: np.ndarray) -> float:
    """The task's metric of predictions, int `[N]`, on a split."""
    groups = {"groups": split.groups, "group_names": task.group_names}
    return scores.score(task.task.metric, predictions, split.labels, **groups)
