"""What a backbone's forward pass keeps for the backward pass, and what is computed again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn

CHOICES = ("none", "elementwise", "blocks")
"""Nothing is computed again; all but products with weights; all but the inputs of blocks."""

_PRODUCTS = ("dot_general", "conv_general_dilated")


def block(module: type[nn.Module], choice: str, static: Sequence[int] = ()) -> type[nn.Module]:
    """A block's class whose activations are kept as `choice` says.

    Args:
      module: the class.
      choice: one of `CHOICES`.
      static: positions of the arguments of `__call__` that are no arrays; `self` is 0.
    """
    if choice == "none":
        return module
    policy = _is_product if choice == "elementwise" else None
    return nn.remat(module, policy=policy, static_argnums=tuple(static))


def _is_product(primitive: Any, *_: Any, **parameters: Any) -> bool:
    """Whether what a primitive computes is a product with weights, dear to compute again."""
    if primitive.name not in _PRODUCTS:
        return False
    dimensions = parameters["dimension_numbers"]
    by_batch = primitive.name == "dot_general" and dimensions[1] != ((), ())
    return not by_batch
