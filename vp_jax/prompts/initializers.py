"""How the parameters of a prompt are drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import jax
import jax.numpy as jnp

from vp_jax.prompts.arguments import AtLeast, Initial, OneOf

_SAMPLERS = {
    "normal": jax.random.normal,
    "uniform": lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -1.0, 1.0),
    "zeros": lambda key, shape, dtype: jnp.zeros(shape, dtype),
}

Init = Annotated[str, OneOf(_SAMPLERS), Initial]
Scale = Annotated[float, AtLeast(0), Initial]
Initializer = Callable[[jax.Array, Mapping[str, tuple[int, ...]]], dict[str, jax.Array]]


def initializer(init: Init, scale: Scale) -> Initializer:
    """Returns a function that draws one float32 array for every named shape.

    Args:
      init: `"normal"` (mean 0, standard deviation 1), `"uniform"` (on [-1, 1)) or `"zeros"`.
      scale: what the drawn values are multiplied by; finite and at least 0.

    Returns:
      `draw(rng, shapes) -> params`. Every array is drawn from a subkey of its own.
    """
    sampler = _SAMPLERS[init]

    def draw(rng: jax.Array, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, jax.Array]:
        keys = jax.random.split(rng, len(shapes))
        return {
            name: scale * sampler(key, shape, jnp.float32)
            for key, (name, shape) in zip(keys, shapes.items(), strict=True)
        }

    return draw
