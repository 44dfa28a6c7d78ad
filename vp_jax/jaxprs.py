"""Looks into the programs that JAX traces."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr


def inner(value: Any) -> Iterator[Jaxpr]:
    """All jaxprs among the parameters of a primitive, not those inside of them."""
    if isinstance(value, ClosedJaxpr):
        yield value.jaxpr
    elif isinstance(value, Jaxpr):
        yield value
    elif isinstance(value, dict):
        yield from inner(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from inner(item)


def primitives(jaxpr: Jaxpr) -> set[str]:
    """The names of all primitives in a jaxpr, at any depth."""
    names = set()
    for equation in jaxpr.eqns:
        names.add(equation.primitive.name)
        names.update(*(primitives(each) for each in inner(equation.params)))
    return names


def digest(function: Callable[..., Any], *arguments: Any) -> str:
    """16 hexadecimal digits over the program that JAX traces of a function, constants included.

    They depend on the version of JAX.

    Args:
      function: pure, of arrays.
      *arguments: pytrees of arrays, or of `jax.ShapeDtypeStruct` in their place.
    """
    traced = jax.make_jaxpr(function)(*arguments)
    total = hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", str(traced.jaxpr)).encode())
    for constant in traced.consts:
        if jax.dtypes.issubdtype(constant.dtype, jax.dtypes.prng_key):
            constant = jax.random.key_data(constant)
        total.update(np.ascontiguousarray(constant).tobytes())
    return total.hexdigest()[:16]
