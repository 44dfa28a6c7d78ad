"""How examples get into the programs on the devices: from the devices' memory or from the host."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

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


Indices = Callable[[int], tuple[np.ndarray, np.ndarray]]
"""From the number of a batch to its examples and mask, each `[batch_size]`."""


def make_feed(
    task: data.TaskData,
    batch_size: int,
    seed: int,
    mesh: Mesh,
    workers: int = 0,
    others: Sequence[tuple[data.TaskData, int]] = (),
) -> Feed:
    """The feed of a task's pipeline.

    Args:
      task: with its splits.
      batch_size: examples of all devices together, which they share evenly.
      seed: of the order in which training examples come.
      mesh: the devices.
      workers: of a host's feed: processes that prepare training batches; 0 for threads.
      others: of resident images: the splits and seeds of further members of a sweep.

    Raises:
      UserError: the devices cannot share a batch evenly.
    """
    check_batch_size(batch_size, mesh)
    if task.pipeline != "resident":
        return HostFeed(batch_size, seed, mesh, workers)
    splits = [*task.splits, *(s for other, _ in others for s in (other.train, other.val))]
    return ResidentFeed(splits, batch_size, [seed, *(seed for _, seed in others)], mesh)


class Store(NamedTuple):
    """What is on the devices, by example.

    Attributes:
      images: uint8 `[N, h, w, 3]`.
      features: of the images without a prompt, float32 `[N, D]`; None where no prompt asks for
        them.
      teacher: logits of the model that is learned from, float32 `[N, K]`; None without one.
    """

    images: jax.Array
    features: jax.Array | None
    teacher: jax.Array | None = None


class ResidentFeed:
    """All images of some splits on the devices, by example; the host sends row numbers only.

    Batches are of one split, or of one for each member of a sweep: then images and labels are
    `[B, N]`, their mask is `[B]`.

    Attributes:
      batch_size: of all devices together.
      store: an argument of every program that takes batches.
    """

    def __init__(
        self, splits: Sequence[data.Split], batch_size: int, seeds: Sequence[int], mesh: Mesh
    ):
        self.batch_size, self._mesh = batch_size, mesh
        self._elsewhere = HostFeed(batch_size, seeds[0], mesh, workers=0)
        self._seeds = np.array(seeds, np.uint32)
        self._places: dict[int, tuple[np.ndarray, int]] = {}  # by base: rows that are used, offset
        bases: dict[int, tuple[Any, list[np.ndarray]]] = {}
        for split in splits:
            base, rows = base_of(split)
            bases.setdefault(id(base), (base, []))[1].append(rows)
        total, parts = 0, []
        for key, (base, every) in bases.items():
            used = np.unique(np.concatenate(every))
            self._places[key] = (used, total)
            parts.append(Rows(base, used))
            total += len(used)
        self._alive = [part.base for part in parts]  # so that no other object gets their ids
        shape = parts[0].shape[1:]
        total = -(-total // mesh.size) * mesh.size
        images = jax.make_array_from_callback(
            (total, *shape), by_example(mesh), lambda index: _slice(parts, index, total, shape)
        )
        values = [self._values(splits, total, field) for field in Store._fields[1:]]
        self.store = Store(images, *values)

    def _values(self, splits: Sequence[data.Split], total: int, field: str) -> jax.Array | None:
        """Features or the like of all images, where there are some; NaN where there are none."""
        known = [(self.rows(s), getattr(s, field)) for s in splits]
        known = [(rows, values) for rows, values in known if values is not None]
        if not known:
            return None
        every = np.full((total, *known[0][1].shape[1:]), np.nan, np.float32)
        for rows, values in known:
            every[rows] = values
        return put(every, by_example(self._mesh))

    def fetch(self, store: Store, batch: Batch) -> Batch:
        """The batch with what is in the store, each example from the device that holds it."""
        if batch.image.ndim == 4:  # they came with it
            return batch
        get = _take
        if self._mesh.size > 1:
            spec = PartitionSpec(AXES)
            get = jax.shard_map(_send, mesh=self._mesh, in_specs=(spec, spec), out_specs=spec)
        images, *values = (None if x is None else get(x, batch.image) for x in store)
        assert images is not None
        return Batch(images, batch.label, batch.mask, *values)

    def rows(self, split: data.Split) -> np.ndarray:
        """Where the images of a split are in the store, int32 `[N]`."""
        base, rows = base_of(split)
        used, offset = self._places[id(base)]
        return (np.searchsorted(used, rows) + offset).astype(np.int32)

    def eval_batches(self, *splits: data.Split) -> Iterator[Batch]:
        """All examples once, in order; images are row numbers, int32, but for those of a split
        that is not in the store, which come from the host."""
        if id(base_of(splits[0])[0]) not in self._places:
            yield from self._elsewhere.eval_batches(*splits)
            return
        rows = np.stack([self.rows(split) for split in splits], axis=1)
        labels = np.stack([split.labels for split in splits], axis=1)
        if len(splits) == 1:
            rows, labels = rows[:, 0], labels[:, 0]
        for number in range(data.steps_per_epoch(len(rows), self.batch_size)):
            indices, mask = data.eval_indices(number, len(rows), self.batch_size)
            yield Batch(*put((rows[indices], labels[indices], mask), by_example(self._mesh)))

    def make_epochs(self, *splits: data.Split) -> Callable[[int], Batch]:
        """A function from the number of an epoch to all of its batches, one after the other.

        The order is computed on the devices; it is that of `data.train_indices`.
        """
        everywhere = replicated(self._mesh)
        rows = np.stack([self.rows(split) for split in splits])
        labels = np.stack([split.labels for split in splits])
        arrays = put((self._seeds[: len(splits)], rows, labels), everywhere)
        count, batch = rows.shape[1], self.batch_size
        steps = data.steps_per_epoch(count, batch)

        def epoch(number: jax.Array, seeds: jax.Array, rows: jax.Array, labels: jax.Array) -> Batch:
            def of_member(own: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, ...]:
                seed, rows, labels = own
                order = device_permutation(count, seed=seed, stream=number)
                indices = jnp.pad(order, (0, steps * batch - count)).reshape(steps, batch)
                return rows[indices], labels[indices]

            every = jax.lax.map(of_member, (seeds, rows, labels))  # One sort of all is far slower.
            one = len(splits) == 1
            image, label = (x[0] if one else jnp.moveaxis(x, 0, -1) for x in every)
            return Batch(image, label, (jnp.arange(steps * batch) < count).reshape(steps, batch))

        run = jax.jit(epoch, in_shardings=everywhere, out_shardings=everywhere)
        return lambda number: run(np.uint32(number), *arrays)


class HostFeed:
    """Batches made on the host, ahead of time, and sent to the devices with their pixels.

    Each process makes the rows of its own devices only.

    Attributes:
      batch_size: of all devices together.
      store: nothing.
      waited: seconds that were spent waiting for batches so far.
    """

    def __init__(self, batch_size: int, seed: int, mesh: Mesh, workers: int):
        self.batch_size, self._seed, self._mesh, self._workers = batch_size, seed, mesh, workers
        self.store: tuple[()] = ()
        self.waited = 0.0

    def fetch(self, store: Any, batch: Batch) -> Batch:
        """The batch as it is: it has its pixels."""
        del store
        return batch

    def eval_batches(self, split: data.Split) -> Iterator[Batch]:
        """All examples once, in order; by threads, since a pass is short for new processes."""
        count = len(split)
        indices = functools.partial(data.eval_indices, count=count, batch_size=self.batch_size)
        return self._batches(split, indices, 0, data.steps_per_epoch(count, self.batch_size), 0)

    def train_batches(self, split: data.Split, start: int, stop: int) -> Iterator[Batch]:
        """The batches of the training steps from `start` up to `stop`, without it."""
        order = {"count": len(split), "batch_size": self.batch_size, "seed": self._seed}
        indices = functools.partial(data.train_indices, **order)
        return self._batches(split, indices, start, stop, self._workers)

    def _batches(
        self,
        split: data.Split,
        indices: Indices,
        start: int,
        stop: int,
        workers: int,
    ) -> Iterator[Batch]:
        sharding = by_example(self._mesh)
        make = functools.partial(_make, split, indices, local_rows(self._mesh, self.batch_size))
        ahead = read_ahead(make, start, stop, workers)
        for _ in range(start, stop):
            begun = time.monotonic()
            pixels, labels, mask, *values = next(ahead)
            self.waited += time.monotonic() - begun
            image = self._placed(pixels)
            known = [None if x is None else self._placed(x) for x in values]
            labels, mask = put((labels, mask), sharding)
            yield Batch(image, labels, mask, *known)

    def _placed(self, rows: np.ndarray) -> jax.Array:
        """Rows of a batch on this process's devices."""
        shape = (self.batch_size, *rows.shape[1:])
        return jax.make_array_from_process_local_data(by_example(self._mesh), rows, shape)


Feed = ResidentFeed | HostFeed
"""Batches of splits, the same whatever way they take.

The batches that it gives are arguments of jitted programs; in these, `fetch` makes batches with
pixels of them."""


def _make(split: data.Split, indices: Indices, local: np.ndarray, number: int) -> tuple[Any, ...]:
    """Pixels of this process's rows, labels and mask of all rows, features and a teacher's logits
    of this process's; each image is read once."""
    rows, mask = indices(number)
    used, places = np.unique(rows[local], return_inverse=True)
    known = [None if x is None else x[rows[local]] for x in (split.features, split.teacher)]
    return split.images[used][places], split.labels[rows], mask, *known


def _take(store: jax.Array, rows: jax.Array) -> jax.Array:
    return store.at[rows].get(mode="promise_in_bounds")


def _send(store: jax.Array, rows: jax.Array) -> jax.Array:
    """On every device: gives the others the rows that they ask for, and takes its own."""
    rows = jax.lax.all_gather(rows, AXES, tiled=True)
    place = rows - jax.lax.axis_index(AXES) * len(store)
    mine = (place >= 0) & (place < len(store))
    found = _take(store, jnp.where(mine, place, 0))
    mine = mine.reshape(mine.shape + (1,) * (found.ndim - mine.ndim))
    found = jnp.where(mine, found, jnp.zeros((), store.dtype))
    return jax.lax.psum_scatter(found, AXES, tiled=True)  # One device alone has each row.


def base_of(split: data.Split) -> tuple[Any, np.ndarray]:
    """The larger set that the images of a split are from, and their rows in it."""
    if isinstance(split.images, Rows):
        return split.images.base, split.images.rows
    return split.images, np.arange(len(split))


def _slice(parts: list[Rows], index: Any, total: int, shape: tuple[int, ...]) -> np.ndarray:
    """Some of the images of all parts, one after the other, zeros behind them."""
    start, stop, _ = index[0].indices(total)
    images = np.zeros((stop - start, *shape), np.uint8)
    offset = 0
    for part in parts:
        low, high = max(start, offset), min(stop, offset + len(part))
        for at in range(low, high, BLOCK):
            end = min(at + BLOCK, high)
            images[at - start : end - start] = part[at - offset : end - offset]
        offset += len(part)
    return images
