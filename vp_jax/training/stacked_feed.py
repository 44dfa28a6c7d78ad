"""Batches of many members at once: each has its own examples in an order of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vp_jax import data
from vp_jax.step.batch import Batch
from vp_jax.step.sharding import by_example, put, replicated
from vp_jax.training.feed import Plan, ResidentFeed, epoch_of


class StackedFeed(ResidentFeed):
    """The images of a task on the devices, once for all members.

    What `ResidentFeed` gives for one split is shared by all members; with a split for each of them
    batches are `[B, N]`, and their mask `[B]`.
    """

    def __init__(
        self, tasks: Sequence[data.TaskData], seeds: Sequence[int], batch_size: int, mesh: Mesh
    ):
        further = {f"{i} {s.name}": s for i, t in enumerate(tasks) for s in (t.train, t.val)}
        every = dataclasses.replace(tasks[0], extra={**tasks[0].extra, **further})
        super().__init__(every, Plan(batch_size, seeds[0]), mesh)
        self._seeds = np.array(seeds, np.uint32)

    def make_epochs(self, splits: Sequence[data.Split]) -> Callable[[int], Batch]:
        """A function from the number of an epoch to all of its batches, `[steps, B, N]`."""
        everywhere = replicated(self._mesh)
        rows = np.stack([self.rows(split) for split in splits])
        labels = np.stack([split.labels for split in splits])
        arrays = put((self._seeds, rows, labels), everywhere)

        def epoch(number: jax.Array, seeds: jax.Array, rows: jax.Array, labels: jax.Array) -> Batch:
            def of_member(own: tuple[jax.Array, jax.Array, jax.Array]) -> Batch:
                return epoch_of(self.plan, own[0], number, *own[1:])

            every = jax.lax.map(of_member, (seeds, rows, labels))  # One sort of all is far slower.
            image, label = (jnp.moveaxis(x, 0, -1) for x in every[:2])
            return Batch(image, label, every.mask[0])

        run = jax.jit(epoch, in_shardings=everywhere, out_shardings=everywhere)
        return lambda number: run(np.uint32(number), *arrays)

    def own_eval_batches(self, splits: Sequence[data.Split]) -> Iterator[Batch]:
        """All examples of every member's split once, in order, `[B, N]`."""
        rows = np.stack([self.rows(split) for split in splits], axis=1)
        labels = np.stack([split.labels for split in splits], axis=1)
        for number in range(self.plan.eval_steps(len(rows))):
            indices, mask = self.plan.eval(len(rows), number)
            batch = Batch(rows[indices], labels[indices], mask)
            yield put(batch, by_example(self._mesh))
