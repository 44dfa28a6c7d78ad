"""Batches of a split in memory, placed on the devices of a mesh."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jax.sharding import Mesh

from vp_jax import data
from vp_jax.training.sharding import by_example, put
from vp_jax.training.step import Batch


def make_batch(split: data.Split, indices: np.ndarray, mask: np.ndarray, mesh: Mesh) -> Batch:
    """Examples by index; masked rows are added until the devices can share them evenly."""
    devices = mesh.shape["data"]
    extra = -len(indices) % devices
    indices = np.concatenate([indices, np.zeros(extra, indices.dtype)])
    mask = np.concatenate([mask, np.zeros(extra, bool)])
    batch = Batch(split.images[indices], split.labels[indices], mask)
    return put(batch, by_example(mesh))


def train_batch(
    split: data.Split, step: int, batch_size: int, seed: int, mesh: Mesh
) -> tuple[Batch, int]:
    """The batch of one step, a function of seed and step, and its number of examples."""
    indices, mask = data.train_indices(step, len(split), batch_size, seed)
    return make_batch(split, indices, mask, mesh), int(mask.sum())


def eval_batches(split: data.Split, batch_size: int, mesh: Mesh) -> Iterator[Batch]:
    """All examples once, in order; the last batch is masked where it is not full."""
    for indices, mask in data.eval_batches(len(split), batch_size):
        yield make_batch(split, indices, mask, mesh)
