"""What many members do on a split, every example exactly once, and what they do together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vp_jax import data
from vp_jax.step.batch import Batch
from vp_jax.step.forward import Parts
from vp_jax.step.sharding import AS_PLACED, by_example, put, replicated
from vp_jax.step.step import Sums
from vp_jax.training.evaluation import Evaluation, to_evaluation
from vp_jax.training.stacked import OWN_BATCHES, Stack
from vp_jax.training.stacked_feed import StackedFeed


class Together(NamedTuple):
    """Members on a split that they share.

    Attributes:
      each: their evaluations.
      probabilities: of the classes, the mean over members, float32 `[examples, K]`.
    """

    each: list[Evaluation]
    probabilities: np.ndarray


class StackedEvaluate:
    """Evaluations of all members at once; each kind of split is compiled once.

    Args:
      stack: the members.
      frozen: parameters that they share, on the devices.
      feed: of the batches.
      mesh: the devices.
    """

    def __init__(self, stack: Stack, frozen: Parts, feed: StackedFeed, mesh: Mesh):
        self._stack, self._frozen, self._feed = stack, frozen, feed
        everywhere, examples = replicated(mesh), by_example(mesh)
        keys = jnp.stack([e.key for e in stack.experiments])
        self._shared = put((stack.masks, keys), everywhere)

        def compiled(batch_axes: Batch | None) -> Any:
            step = stack.eval_step(batch_axes)

            def run(
                parts: Parts,
                shared: Any,
                frozen: Parts,
                store: jax.Array,
                batch: Batch,
                number: jax.Array,
                counted: jax.Array,
            ) -> tuple[Sums, jax.Array, jax.Array]:
                masks, keys = shared
                keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, number)
                batch = feed.fetch(store, batch)
                sums, predictions, logits = step(parts, masks, keys, batch, frozen)
                probabilities = counted[:, None, None] * jax.nn.softmax(logits)
                return sums, predictions, probabilities.sum(axis=0)

            shardings = (everywhere, everywhere, AS_PLACED, examples, examples, everywhere)
            return jax.jit(run, in_shardings=(*shardings, everywhere), out_shardings=everywhere)

        self._own, self._together = compiled(OWN_BATCHES), compiled(None)

    def own(self, parts: Parts, splits: Sequence[data.Split]) -> list[Evaluation]:
        """Each member on a split of its own, with its own parts."""
        batches = self._feed.own_eval_batches(splits)
        return self._pass(self._own, parts, batches, splits, np.ones(len(splits))).each

    def together(self, parts: Parts, split: data.Split, counted: np.ndarray) -> Together:
        """All members on one split; `counted`, bool `[N]`, are those of the mean."""
        splits = [split] * len(counted)
        return self._pass(self._together, parts, self._feed.eval_batches(split), splits, counted)

    def _pass(
        self,
        step: Callable[..., tuple[Sums, jax.Array, jax.Array]],
        parts: Parts,
        batches: Iterator[Batch],
        splits: Sequence[data.Split],
        counted: np.ndarray,
    ) -> Together:
        """The mean probabilities mean something only where all splits are one."""
        weights = (counted / counted.sum()).astype(np.float32)
        totals = np.zeros((len(Sums._fields), len(splits)), np.float64)
        predictions, probabilities = [], []
        for number, batch in enumerate(batches):
            sums, predicted, mean = step(
                parts,
                self._shared,
                self._frozen,
                self._feed.store,
                batch,
                np.uint32(number),
                weights,
            )
            totals += np.array(jax.device_get(sums), np.float64)
            predictions.append(np.asarray(predicted))
            probabilities.append(np.asarray(mean))
        count = len(splits[0])
        every = np.concatenate(predictions, axis=1)[:, :count]
        each = [
            to_evaluation(experiment.task, split, totals[:, i], every[i])
            for i, (experiment, split) in enumerate(
                zip(self._stack.experiments, splits, strict=True)
            )
        ]
        return Together(each, np.concatenate(probabilities)[:count])
