"""A state as arrays by name, as checkpoints hold it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

Tree = TypeVar("Tree")
"""A state, or some parameters."""


class Mismatch(ValueError):
    """Arrays are not those of a state."""


def to_arrays(state: Any) -> dict[str, np.ndarray]:
    """Copies of all arrays of a replicated state, by dotted name.

    Copies, so that the state's buffers may be donated while they are saved.
    """
    leaves = jax.tree_util.tree_flatten_with_path(jax.device_get(state))[0]
    return {_name(path): np.array(_numbers(leaf), copy=True) for path, leaf in leaves}


def that_hold_anything(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What orbax stores: not the empty ones, the sides of a border that covers the whole image."""
    return {name: array for name, array in arrays.items() if array.size}


def empty_ones(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[str, list[int]]]:
    """The types and shapes of the others, but for counts of nothing, as JSON holds them."""
    return {
        name: (str(array.dtype), list(array.shape))
        for name, array in arrays.items()
        if not array.size and name.rpartition(".")[2] != "counts"
    }


def from_arrays(arrays: Mapping[str, np.ndarray], target: Tree) -> Tree:
    """The state of which `to_arrays` made these arrays.

    Args:
      arrays: by dotted name; the empty ones may be missing.
      target: a state with the same structure and shapes.

    Raises:
      Mismatch: they are not those of the target; names the first that differs.
    """
    wanted, there = _shapes(to_arrays(target)), _shapes(arrays)
    for name in sorted(wanted.keys() | there.keys()):
        if wanted.get(name) != there.get(name):
            raise Mismatch(
                f"{name} is {there.get(name, 'missing')} there and {wanted.get(name, 'unknown')} "
                "here"
            )

    def restored(path: tuple[Any, ...], x: Any) -> Any:
        if not np.size(x):
            return np.asarray(x)
        array = arrays[_name(path)]
        if _is_key(x):
            return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(x))
        return array

    return jax.tree_util.tree_map_with_path(restored, target)


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the names, shapes, types and bytes of arrays."""
    total = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        total.update(f"{name} {array.dtype} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def size(state: Any) -> int:
    """Bytes of the arrays that a checkpoint of a state holds; orbax adds some kB of its own."""
    return sum(array.nbytes for array in to_arrays(state).values())


def _is_key(x: Any) -> bool:
    """Whether it is a typed random key, which an optimiser that adds noise keeps."""
    return isinstance(x, jax.Array) and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


def _numbers(x: Any) -> Any:
    return jax.random.key_data(x) if _is_key(x) else x


def _shapes(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    return {n: f"{x.dtype}{list(x.shape)}" for n, x in that_hold_anything(arrays).items()}


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")
