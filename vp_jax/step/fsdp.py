"""A frozen backbone that the devices share: each keeps a part of every large weight.

A weight is gathered from all of them where it is used, in the forward pass and again in the
backward pass, and forgotten in between, so that no device ever holds the whole model. ("Fully
sharded data parallel", Zhao et al. 2023, arXiv 2304.11277; here without gradients of the weights.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vp_jax.step.forward import Parts
from vp_jax.step.sharding import put, replicated

LEAST = 2**14
"""Numbers of the smallest weight that is worth splitting; biases and scales are replicated."""

_OF_WEIGHTS = ("sharding_constraint", "convert_element_type")  # what is done to them first
_BARRIER = "optimization_barrier"

AnyForward = TypeVar("AnyForward", bound=Callable[..., Any])
"""A `Forward`, or a function of the same arguments that returns something else."""


def split(mesh: Mesh, weight: Any) -> NamedSharding:
    """A weight split along its largest axis that the devices can share evenly, else replicated."""
    shape, devices = np.shape(weight), mesh.shape["model"]
    if devices == 1 or np.size(weight) < LEAST:
        return replicated(mesh)
    for axis in sorted(range(len(shape)), key=lambda axis: -shape[axis]):
        if shape[axis] % devices == 0:
            return NamedSharding(mesh, PartitionSpec(*[None] * axis, "model"))
    return replicated(mesh)


def put_frozen(frozen: Parts, mesh: Mesh) -> Parts:
    """Places parts that do not train: the backbone split, where devices share it."""
    return {
        part: jax.tree.map(lambda x: put(x, split(mesh, x)), tree)
        if part == "backbone"
        else put(tree, replicated(mesh))
        for part, tree in frozen.items()
    }


def gather_on_use(forward: AnyForward, mesh: Mesh) -> AnyForward:
    """The same function for a backbone as `put_frozen` leaves it.

    Gathered weights are not kept for the backward pass; all else is, as without it.
    """
    if mesh.shape["model"] == 1:
        return forward
    everywhere = replicated(mesh)

    def gathering(parts: Parts, images: jax.Array, **more: Any) -> Any:
        shapes = {x.shape for x in jax.tree.leaves(parts["backbone"]) if x.size >= LEAST}

        def keeps(primitive: Any, *avals: Any, **_: Any) -> bool:
            of_weights = primitive.name in _OF_WEIGHTS and avals[0].shape in shapes
            return not of_weights and primitive.name != _BARRIER

        def inner(parts: Parts, images: jax.Array, more: dict[str, Any]) -> Any:
            # Else the compiler would gather all weights once, before the loop over many steps.
            mine, images = jax.lax.optimization_barrier((parts["backbone"], images))
            whole = jax.lax.with_sharding_constraint(mine, everywhere)
            return forward({**parts, "backbone": whole}, images, **more)

        return jax.checkpoint(inner, policy=keeps)(parts, images, more)

    return gathering  # type: ignore[return-value] # it takes and returns what `forward` does
