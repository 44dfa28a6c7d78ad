"""Looks into the programs that JAX traces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
