"""The step of Reptile: from parameters to those that several tasks have made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import jax

Tree = TypeVar("Tree")


def toward(start: Tree, ends: Sequence[Tree], share: float) -> Tree:
    """A share of the way from parameters to the mean of others, `(1 - share) start + share mean`.

    Nichol, Achiam and Schulman, "On First-Order Meta-Learning Algorithms" (1803.02999). With a
    share of 0 it is `start` itself, with 1 the mean itself, that of a single end being this end.

    Args:
      start: a pytree of arrays.
      ends: one or more of the same structure and shapes, each what some steps of a task made of
        `start`.
      share: from 0 to 1.

    >>> import jax.numpy as jnp
    >>> [float(toward(jnp.float32(1.0), [jnp.float32(2.0), jnp.float32(4.0)], s)) for s in (0, 0.5)]
    [1.0, 2.0]
    """
    return jax.tree.map(
        lambda x, *each: (1 - share) * x + share * (sum(each) / len(each)), start, *ends
    )
