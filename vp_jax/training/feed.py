"""How examples get into the programs on the devices: from the devices' memory or from the host."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from vp_jax import data
from vp_jax.data.images.images import Rows
from vp_jax.data.splits.device_permutation import device_permutation
from vp_jax.data.stream import read_ahead
from vp_jax.step.batch import Batch
from vp_jax.step.sharding import AXES, by_example, check_batch_size, local_rows, put, replicated

BLOCK = 1024
"""Images that are read at a time on their way to the devices."""


class Feed(Protocol):
    """Batches of a task's splits, the same whatever the way they take.

    The batches that it gives are arguments of jitted programs; in these, `fetch` makes batches with
    pixels of them.

    Attributes:
      plan: which examples are in which batch.
      store: device arrays that are an argument of every such program too; by example, or nothing.
    """

    plan: Plan
    store: Any

    def fetch(self, store: Any, batch: Batch) -> Batch:
        """The batch with its images, uint8 `[B, h, w, 3]`; for use inside a jitted program."""
        ...

    def eval_batches(self, split: data.Split) -> Iterator[Batch]:
        """All examples once, in order; the last batch is masked where it is not full."""
        ...


def make_feed(
    task: data.TaskData, batch_size: int, seed: int, mesh: Mesh, workers: int = 0
) -> ResidentFeed | HostFeed:
    """The feed of a task's pipeline.

    Args:
      task: with its splits.
      batch_size: examples of all devices together, which they share evenly.
      seed: of the order in which training examples come.
      mesh: the devices.
      workers: of a host's feed: processes that prepare training batches; 0 for threads.

    Raises:
      UserError: the devices cannot share a batch evenly.
    """
    check_batch_size(batch_size, mesh)
    plan = Plan(batch_size, seed)
    if task.pipeline == "resident":
        return ResidentFeed(task, plan, mesh)
    return HostFeed(plan, mesh, workers)


class Plan(NamedTuple):
    """Which examples are in which batch.

    Attributes:
      batch_size: of all devices together.
      seed: of the training order.
    """

    batch_size: int
    seed: int

    def train(self, count: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices and mask `[batch_size]` of a training step."""
        return data.train_indices(step, count, self.batch_size, self.seed)

    def eval(self, count: int, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices and mask `[batch_size]` of a batch of a split in order."""
        return data.eval_indices(number, count, self.batch_size)

    def eval_steps(self, count: int) -> int:
        """Batches of a split in order."""
        return data.steps_per_epoch(count, self.batch_size)


class ResidentFeed:
    """All images of a task on the devices, split by example; the host sends row numbers only."""

    def __init__(self, task: data.TaskData, plan: Plan, mesh: Mesh):
        self.plan, self._mesh = plan, mesh
        self._elsewhere = HostFeed(plan, mesh, workers=0)
        self._places: dict[int, tuple[np.ndarray, int]] = {}  # by base: rows that are used, offset
        bases: dict[int, tuple[Any, list[np.ndarray]]] = {}
        for split in task.splits:
            base, rows = _base(split)
            bases.setdefault(id(base), (base, []))[1].append(rows)
        total, parts = 0, []
        for key, (base, rows) in bases.items():
            used = np.unique(np.concatenate(rows))
            self._places[key] = (used, total)
            parts.append(Rows(base, used))
            total += len(used)
        self._alive = [part.base for part in parts]  # so that no other object gets their ids
        shape = parts[0].shape[1:]
        total = -(-total // mesh.size) * mesh.size
        self.store = jax.make_array_from_callback(
            (total, *shape), by_example(mesh), lambda index: _slice(parts, index[0], total, shape)
        )

    def fetch(self, store: jax.Array, batch: Batch) -> Batch:
        """The batch with its images, each from the device that holds it."""
        if batch.image.ndim == 4:  # they came with it
            return batch
        if self._mesh.size == 1:
            return batch._replace(image=store.at[batch.image].get(mode="promise_in_bounds"))
        spec = PartitionSpec(AXES)
        send = jax.shard_map(_send, mesh=self._mesh, in_specs=(spec, spec), out_specs=spec)
        return batch._replace(image=send(store, batch.image))

    def rows(self, split: data.Split) -> np.ndarray:
        """Where the images of a split are in the store, int32 `[N]`."""
        base, rows = _base(split)
        used, offset = self._places[id(base)]
        return (np.searchsorted(used, rows) + offset).astype(np.int32)

    def eval_batches(self, split: data.Split) -> Iterator[Batch]:
        """All examples once, in order; images are row numbers, int32 `[B]`, but for those of a
        split that is not in the store, which come from the host."""
        if id(_base(split)[0]) not in self._places:
            yield from self._elsewhere.eval_batches(split)
            return
        rows, count = self.rows(split), len(split)
        for number in range(self.plan.eval_steps(count)):
            indices, mask = self.plan.eval(count, number)
            yield put(Batch(rows[indices], split.labels[indices], mask), by_example(self._mesh))

    def make_epochs(self, split: data.Split) -> Callable[[int], Batch]:
        """A function from the number of an epoch to all of its batches, `[steps, B]`.

        The order is computed on the devices; it is that of `data.train_indices`.
        """
        everywhere = replicated(self._mesh)
        rows, labels = put((self.rows(split), split.labels), everywhere)
        epoch = functools.partial(epoch_of, self.plan, self.plan.seed)
        run = jax.jit(epoch, in_shardings=everywhere, out_shardings=everywhere)
        return lambda number: run(np.uint32(number), rows, labels)


def epoch_of(
    plan: Plan, seed: int | jax.Array, number: jax.Array, rows: jax.Array, labels: jax.Array
) -> Batch:
    """All batches of an epoch, `[steps, B]`, in the order of `data.train_indices`.

    Args:
      plan: the batch size.
      seed: of the order; a uint32 scalar where it is traced.
      number: of the epoch, uint32.
      rows: where the split's images are in the store, int32 `[N]`.
      labels: of the split, int32 `[N]`.
    """
    count = len(rows)
    steps = data.steps_per_epoch(count, plan.batch_size)
    order = device_permutation(count, seed=seed, stream=number)
    indices = jnp.pad(order, (0, steps * plan.batch_size - count))
    indices = indices.reshape(steps, plan.batch_size)
    mask = (jnp.arange(steps * plan.batch_size) < count).reshape(indices.shape)
    return Batch(rows[indices], labels[indices], mask)


class HostFeed:
    """Batches made on the host, ahead of time, and sent to the devices with their pixels.

    Each process makes the rows of its own devices only.

    Attributes:
      waited: seconds that were spent waiting for batches so far.
    """

    def __init__(self, plan: Plan, mesh: Mesh, workers: int):
        self.plan, self._mesh, self._workers = plan, mesh, workers
        self.store: tuple[()] = ()
        self.waited = 0.0

    def fetch(self, store: Any, batch: Batch) -> Batch:
        """The batch as it is: it has its pixels."""
        del store
        return batch

    def eval_batches(self, split: data.Split) -> Iterator[Batch]:
        """All examples once, in order; by threads, since a pass is short for new processes."""
        return self._batches(split, self.plan.eval, 0, self.plan.eval_steps(len(split)), 0)

    def train_batches(self, split: data.Split, start: int, stop: int) -> Iterator[Batch]:
        """The batches of the training steps from `start` up to `stop`, without it."""
        return self._batches(split, self.plan.train, start, stop, self._workers)

    def _batches(
        self,
        split: data.Split,
        plan: Callable[[int, int], tuple[np.ndarray, np.ndarray]],
        start: int,
        stop: int,
        workers: int,
    ) -> Iterator[Batch]:
        sharding = by_example(self._mesh)
        make = functools.partial(_make, split, plan, local_rows(self._mesh, self.plan.batch_size))
        ahead = read_ahead(make, start, stop, workers)
        for _ in range(start, stop):
            begun = time.monotonic()
            pixels, labels, mask = next(ahead)
            self.waited += time.monotonic() - begun
            shape = (self.plan.batch_size, *pixels.shape[1:])
            image = jax.make_array_from_process_local_data(sharding, pixels, shape)
            yield Batch(image, *put((labels, mask), sharding))


def _make(
    split: data.Split,
    plan: Callable[[int, int], tuple[np.ndarray, np.ndarray]],
    local: np.ndarray,
    number: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of this process's rows, labels and mask of all rows; each image is read once."""
    indices, mask = plan(len(split), number)
    used, places = np.unique(indices[local], return_inverse=True)
    return split.images[used][places], split.labels[indices], mask


def _send(images: jax.Array, rows: jax.Array) -> jax.Array:
    """On every device: gives the others the rows that they ask for, and takes its own."""
    rows = jax.lax.all_gather(rows, AXES, tiled=True)
    place = rows - jax.lax.axis_index(AXES) * len(images)
    mine = (place >= 0) & (place < len(images))
    found = images.at[jnp.where(mine, place, 0)].get(mode="promise_in_bounds")
    found = jnp.where(mine[..., None, None, None], found, jnp.zeros((), images.dtype))
    return jax.lax.psum_scatter(found, AXES, tiled=True)  # One device alone has each row.


def _base(split: data.Split) -> tuple[Any, np.ndarray]:
    """The larger set that the images of a split are from, and their rows in it."""
    if isinstance(split.images, Rows):
        return split.images.base, split.images.rows
    return split.images, np.arange(len(split))


def _slice(parts: list[Rows], index: slice, total: int, shape: tuple[int, ...]) -> np.ndarray:
    """Some of the images of all parts, one after the other, zeros behind them."""
    start, stop, _ = index.indices(total)
    images = np.zeros((stop - start, *shape), np.uint8)
    offset = 0
    for part in parts:
        low, high = max(start, offset), min(stop, offset + len(part))
        for at in range(low, high, BLOCK):
            end = min(at + BLOCK, high)
            images[at - start : end - start] = part[at - offset : end - offset]
        offset += len(part)
    return images
