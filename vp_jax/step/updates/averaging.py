"""Means of parameters over the steps of a run, which are evaluated and saved in their place."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class Averaged(NamedTuple):
    """The state of `averaged`.

    Attributes:
      moving: the parameters as the optimiser moves them; gradients are taken there.
      weight: the sum of the powers of the decay up to now, float32.
      inner: state of the optimiser.
    """

    moving: Any
    weight: jax.Array
    inner: optax.OptState


def averaged(optimizer: optax.GradientTransformation, decay: float) -> optax.GradientTransformation:
    """An optimiser whose parameters are the running mean of those that another one makes.

    With `moving[t]` the parameters after t steps of `optimizer`, and without a share for those at
    the start (Polyak and Juditsky 1992; its exponential form as in Kingma and Ba, 1412.6980,
    section 7.2):

        mean[t] = sum of decay ** (t - s) * moving[s] / sum of decay ** (t - s), s from 1 to t

    Gradients must be those at `moving(state, params)`.

    Args:
      optimizer: the other one.
      decay: from 0, which gives `moving` itself, to 1, which gives the mean of all steps.
    """

    def init(params: Any) -> Averaged:
        copies = jax.tree.map(lambda x: jnp.array(x, copy=True), params)  # buffers of its own
        return Averaged(copies, jnp.zeros((), jnp.float32), optimizer.init(params))

    def update(grads: Any, state: Averaged, params: Any = None) -> tuple[Any, Averaged]:
        updates, inner = optimizer.update(grads, state.inner, state.moving)
        moved = optax.apply_updates(state.moving, updates)
        weight = decay * state.weight + 1.0
        steps = jax.tree.map(lambda new, mean: (new - mean) / weight, moved, params)
        return steps, Averaged(moved, weight, inner)

    return optax.GradientTransformation(init, update)


def moving(opt_state: Any, params: Any) -> Any:
    """The parameters at which gradients are to be taken: those that are not averaged."""
    return opt_state.moving if isinstance(opt_state, Averaged) else params
