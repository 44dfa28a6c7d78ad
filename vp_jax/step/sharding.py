"""One mesh for one device, eight, and several hosts."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vp_jax.errors import UserError

AXES = ("data", "model")

AS_PLACED = None
"""In `in_shardings`: as the argument lies on the devices already."""


def check_devices() -> None:
    """Starts JAX's backend where none has been.

    Raises:
      UserError: there is none of the platform that `JAX_PLATFORMS` names, or it cannot be used.
    """
    try:
        jax.devices()
    except Exception as error:  # of any kind: JAX asserts, and raises what its plugins do
        reason = " ".join(str(error).split()) or "it is not installed, or finds no device"
        wanted = jax.config.jax_platforms  # type: ignore[attr-defined] # made as JAX starts
        named = f"JAX_PLATFORMS={wanted}" if wanted else "the platform that it takes by itself"
        raise UserError(
            f"JAX cannot compute with {named}: {reason}. Give JAX_PLATFORMS=cpu, leave it empty "
            "for the best one that works, or install JAX for your accelerator, as in "
            "pip install 'vp_jax[cuda]'"
        ) from error


def make_mesh(model: int = 1) -> Mesh:
    """All devices, in groups of `model` along the axis `model`, the groups along `data`.

    Raises:
      UserError: there are no devices, or their number is no multiple of `model`.
    """
    check_devices()
    devices = jax.device_count()
    if devices % model:
        raise UserError(
            f"{devices} devices cannot be divided into groups of {model} that share a backbone; "
            "give --config.backbone.shards a number that divides theirs, or 0"
        )
    return jax.make_mesh((devices // model, model), AXES, axis_types=(AxisType.Auto,) * 2)


def replicated(mesh: Mesh) -> NamedSharding:
    """The same value on every device."""
    return NamedSharding(mesh, PartitionSpec())


def by_example(mesh: Mesh) -> NamedSharding:
    """Split along the first axis, the examples of a batch, over all devices.

    Over both axes: devices that share a backbone would compute the same otherwise.
    """
    return NamedSharding(mesh, PartitionSpec(AXES))


def local_rows(mesh: Mesh, count: int) -> np.ndarray:
    """Which of `count` rows, split by example, are on devices of this process; int64, ascending."""
    slices = by_example(mesh).addressable_devices_indices_map((count,)).values()
    return np.unique(np.concatenate([np.arange(count)[index] for index in slices]))


def check_batch_size(batch_size: int, mesh: Mesh) -> None:
    """Refuses a batch that the devices cannot share evenly.

    Raises:
      UserError: names the nearest sizes that they can.
    """
    devices = mesh.size
    below = batch_size // devices * devices
    if below != batch_size:
        near = " or ".join(str(size) for size in (below, below + devices) if size)
        raise UserError(
            f"batch_size is {batch_size}, of all devices together, which {devices} devices cannot "
            f"share evenly; give {near}"
        )


def put(tree: Any, sharding: NamedSharding) -> Any:
    """Places a tree of host arrays, the same on every process, as the sharding says."""

    def place(x: Any) -> jax.Array:
        if jax.dtypes.issubdtype(getattr(x, "dtype", np.float32), jax.dtypes.prng_key):
            return jax.device_put(x, sharding)
        x = np.asarray(x)
        return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])

    return jax.tree.map(place, tree)
