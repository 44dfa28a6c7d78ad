"""The number of parameters of a prompt."""

from __future__ import annotations

import math

import jax
import numpy as np

from vp_jax.prompts.base import Params


def count(params: Params) -> int:
    """Returns how many numbers a parameter tree holds; shapes alone (`jax.eval_shape`) suffice.

    >>> import numpy as np
    >>> count({"patch": np.zeros((30, 30, 3))})
    2700
    """
    return sum(math.prod(np.shape(leaf)) for leaf in jax.tree.leaves(params))
