"""Loss, accuracy, metric and predictions over a whole split, every example exactly once."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.typing import ArrayLike

from vp_jax import data
from vp_jax.data.tasks import scores
from vp_jax.host.progress_bar import PATIENCE_SECONDS, progress_bar, waiting
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
      confidence: its probability, float32 `[N]`.
      of_label: the probability of the right class, float32 `[N]`.
      logits: of every example, float32 `[N, K]`; None where they were not asked for.
    """

    loss: float
    accuracy: float
    metric: float
    predictions: np.ndarray
    confidence: np.ndarray
    of_label: np.ndarray
    logits: np.ndarray | None = None


class Evaluate(Protocol):
    """What parts do on a split, with the logits where they are asked for."""

    def __call__(self, parts: Parts, split: data.Split, logits: bool = False) -> Evaluation: ...


def make_evaluate(
    forward: Forward,
    key: jax.Array,
    task: data.TaskData,
    feed: Feed,
    mesh: Mesh,
    prompt: Parts | None = None,
) -> Evaluate:
    """A function `(parts, split, logits=False) -> Evaluation`, compiled once.

    Parts without a prompt are evaluated unprompted.

    Args:
      forward: from parts and images to logits.
      key: places random patches, anew for every batch, the same at every call.
      task: whose metric is taken.
      feed: of the batches.
      mesh: the devices.
      prompt: the parts of `OF_PROMPT`, of any values, so that parts without them need no program of
        their own.
    """
    run = make_evaluate_together(make_eval_step(forward), key, [task], feed, mesh)

    def evaluate(parts: Parts, split: data.Split, logits: bool = False) -> Evaluation:
        prompted = np.bool_("prompt" in parts)
        if not prompted and split.whole is not None:  # these images have a program of their own
            split = split.unprompted()
        else:
            parts = {**(prompt or {}), **parts}
        ((evaluation,), _) = run(parts, [split], prompted, logits=logits)
        return evaluation

    return evaluate


Together = tuple[list[Evaluation], np.ndarray | None]
"""Evaluations of members, each on its split, and the mean over members of the probabilities of the
classes, float32 `[examples, K]`, which means something where they share a split."""


def make_evaluate_together(
    eval_step: Callable[..., tuple[Sums, jax.Array, jax.Array]],
    keys: jax.Array,
    tasks: Sequence[data.TaskData],
    feed: Feed,
    mesh: Mesh,
) -> Callable[..., Together]:
    """A function `(parts, splits, argument, counted, logits) -> Together`, compiled once.

    `counted`, bool `[N]`, are the members of the mean; None, the default, for no mean. `logits`
    says whether evaluations have them; by default not.

    Args:
      eval_step: `(parts, key, batch, argument)`, of one member or of all, as `Members` makes it.
      keys: place random patches, anew for every batch, the same at every call; one or `[N]`.
      tasks: of the members, whose metric is taken.
      feed: of the batches.
      mesh: the devices.
    """
    everywhere, examples = replicated(mesh), by_example(mesh)

    def evaluate_batch(
        parts: Parts, store: Any, batch: Batch, keys: Any, number: Any, argument: Any, weights: Any
    ) -> tuple[Sums, tuple[jax.Array, ...], jax.Array, Any]:
        fold_in = jax.vmap(jax.random.fold_in, (0, None)) if keys.ndim else jax.random.fold_in
        batch = feed.fetch(store, batch)
        sums, predicted, logits = eval_step(parts, fold_in(keys, number), batch, argument)
        probabilities = jax.nn.softmax(logits)
        each = (predicted, *sureness(probabilities, batch.label.T))
        if weights is None:
            return sums, each, logits, ()
        return sums, each, logits, (weights[:, None, None] * probabilities).sum(axis=0)

    step = jax.jit(
        evaluate_batch,
        in_shardings=(AS_PLACED, examples, examples, *(everywhere,) * 4),
        out_shardings=everywhere,
    )

    def evaluate(
        parts: Parts,
        splits: Sequence[data.Split],
        argument: Any,
        counted: np.ndarray | None = None,
        logits: bool = False,
    ) -> Together:
        weights = None if counted is None else (counted / counted.sum()).astype(np.float32)
        totals, found = np.zeros((len(Sums._fields), len(splits))), []
        count, what = len(splits[0]), f"evaluating on {splits[0].name}"
        silent = not sys.stderr.isatty()  # in files, the line of `waiting` says it
        with progress_bar(count, what, silent, delay=PATIENCE_SECONDS, leave=False) as bar:
            for number, batch in enumerate(feed.eval_batches(*splits)):
                told = waiting(what) if number == 0 else contextlib.nullcontext()  # it compiles
                with told:
                    sums, each, z, mean = step(
                        parts, feed.store, batch, keys, np.uint32(number), argument, weights
                    )
                    totals += np.array(jax.device_get(sums), np.float64).reshape(totals.shape)
                found.append(jax.device_get((each, z if logits else (), mean)))
                bar.update(min(feed.batch_size, count - bar.n))
        fields, every, of_all = zip(*found, strict=True)
        of_images = [
            np.concatenate([x.reshape(len(splits), -1) for x in batches], axis=1)[:, :count]
            for batches in zip(*fields, strict=True)
        ]
        evaluations = list(map(_evaluation, tasks, splits, totals.T, *of_images))
        if logits:
            shape = (len(splits), feed.batch_size, -1)
            z = np.concatenate([x.reshape(shape) for x in every], axis=1)[:, :count]
            evaluations = [e._replace(logits=own) for e, own in zip(evaluations, z, strict=True)]
        return evaluations, None if counted is None else np.concatenate(of_all)[:count]

    return evaluate


def sureness(probabilities: ArrayLike, labels: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """How sure a model is of images: the largest probability of each, and that of its label.

    Args:
      probabilities: `[..., B, K]`.
      labels: int `[..., B]`.

    Returns:
      Two arrays `[..., B]`.
    """
    probabilities, labels = jnp.asarray(probabilities), jnp.asarray(labels)
    of_label = jnp.take_along_axis(probabilities, labels[..., None], axis=-1)
    return probabilities.max(axis=-1), of_label[..., 0]


def _evaluation(
    task: data.TaskData,
    split: data.Split,
    totals: np.ndarray,
    predictions: np.ndarray,
    confidence: np.ndarray,
    of_label: np.ndarray,
) -> Evaluation:
    total = means(Sums(*totals))
    metric = total["accuracy"]
    if task.task.metric != "accuracy":
        metric = measure(task, split, predictions)
    return Evaluation(
        **total, metric=metric, predictions=predictions, confidence=confidence, of_label=of_label
    )


def measure(task: data.TaskData, split: data.Split, predictions: np.ndarray) -> float:
    """The task's metric of predictions, int `[N]`, on a split."""
    return scores.score(
        task.task.metric,
        predictions,
        split.labels,
        groups=split.groups,
        group_names=task.group_names,
    )
