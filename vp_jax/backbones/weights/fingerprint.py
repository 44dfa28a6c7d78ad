"""A short name for the values of all parameters of a model."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def fingerprint(name: str, params: Any) -> str:
    """`NAME:sha256:` and 16 hexadecimal digits over paths, shapes and float32 bytes, sorted.

    It depends on the values only: the same weights give the same fingerprint from any file layout
    and from any dtype that holds them exactly.

    Args:
      name: of the model.
      params: any pytree of arrays.
    """
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    digest = hashlib.sha256()
    named = {_path(keys): leaf for keys, leaf in leaves}
    for path, param in sorted(named.items()):
        array = np.asarray(param, dtype="<f4", order="C")
        digest.update(f"{path}{array.shape}\n".encode())
        digest.update(array.data)
    return f"{name}:sha256:{digest.hexdigest()[:16]}"


def place(name: str, params: Any) -> tuple[Any, str]:
    """The parameters as arrays on the default device, and meanwhile their fingerprint."""
    with ThreadPoolExecutor(1) as pool:
        named = pool.submit(fingerprint, name, params)
        return jax.tree.map(jnp.asarray, params), named.result()


def _path(keys: jax.tree_util.KeyPath[Any]) -> str:
    return jax.tree_util.keystr(keys, simple=True, separator="/")
