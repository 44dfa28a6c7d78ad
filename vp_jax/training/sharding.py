"""One mesh for one device, eight, and several hosts."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def make_mesh() -> Mesh:
    """All devices along the axis `data`; the axis `model` has size one."""
    return jax.make_mesh(
        (jax.device_count(), 1), ("data", "model"), axis_types=(AxisType.Auto, AxisType.Auto)
    )


def replicated(mesh: Mesh) -> NamedSharding:
    """The same value on every device."""
    return NamedSharding(mesh, PartitionSpec())


def by_example(mesh: Mesh) -> NamedSharding:
    """Split along the first axis, the examples of a batch."""
    return NamedSharding(mesh, PartitionSpec("data"))


def local_rows(mesh: Mesh, count: int) -> np.ndarray:
    """Which of `count` rows, split by example, are on devices of this process; int64, ascending."""
    slices = by_example(mesh).addressable_devices_indices_map((count,)).values()
    return np.unique(np.concatenate([np.arange(count)[index] for index in slices]))


def put(tree: Any, sharding: NamedSharding) -> Any:
    """Places a tree of host arrays, the same on every process, as the sharding says."""

    def place(x):
        if jax.dtypes.issubdtype(getattr(x, "dtype", np.float32), jax.dtypes.prng_key):
            return jax.device_put(x, sharding)
        x = np.asarray(x)
        return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])

    return jax.tree.map(place, tree)
