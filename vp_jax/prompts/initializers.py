"""How the parameters of a prompt are drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from vp_jax.errors import UserError, unknown
from vp_jax.prompts.checks import check_scale

_SAMPLERS = {
    "normal": jax.random.normal,
    "uniform": lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -1.0, 1.0),
    "zeros": lambda key, shape, dtype: jnp.zeros(shape, dtype),
}

Initializer = Callable[[jax.Array, Mapping[str, tuple[int, ...]]], dict[str, jax.Array]]


def initializer(init: str, scale: float) -> Initializer:
    """Returns a function that draws one float32 array for every named shape.

    Args:
      init: `"normal"` (mean 0, standard deviation 1), `"uniform"` (on [-1, 1)) or `"zeros"`.
      scale: what the drawn values are multiplied by; finite and at least 0.

    Returns:
      `draw(rng, shapes) -> params`. Every array is drawn from a subkey of its own.

    Raises:
      UserError: for an unknown `init` or an impossible `scale`.
    """
    if not isinstance(init, str) or init not in _SAMPLERS:
        raise unknown("init", init, _SAMPLERS)
    sampler = _SAMPLERS[init]
    scale = check_scale(scale)

    def draw(rng: jax.Array, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, jax.Array]:
        if rng is None:
            raise UserError("init needs a key: pass rng=jax.random.key(0), or another seed")
        keys = jax.random.split(rng, len(shapes))
        return {
            name: scale * sampler(key, shape, jnp.float32)
            for key, (name, shape) in zip(keys, shapes.items(), strict=True)
        }

    return draw
