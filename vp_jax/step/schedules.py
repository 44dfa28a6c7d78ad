"""Learning rates as functions of the step."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from vp_jax.errors import UserError, unknown

NAMES = ("warmup_cosine", "constant")
WARMUP_SHARE = 0.25
"""How much of a run its warm-up may be. A run that warms up for longer never gets anywhere."""


def warmup_cosine(peak: float, warmup_steps: int, total_steps: int) -> optax.Schedule:
    r"""The paper's schedule: linear warm-up, then half a cosine to zero.

    `peak * (step + 1) / warmup` for `step < warmup`, then
    `peak * (1 + cos(pi * (step - warmup) / (total - warmup))) / 2` (arXiv 2203.17274 and its code).

    Args:
      peak: the highest learning rate.
      warmup_steps: number of warm-up steps, 0 for none.
      total_steps: number of steps of the whole run.

    Returns:
      An optax schedule: step (0 for the first update) to learning rate, float32.
    """

    def schedule(step: ArrayLike) -> jax.Array:
        step = jnp.asarray(step, jnp.float32)
        rising = peak * (step + 1) / max(warmup_steps, 1)
        progress = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
        falling = 0.5 * (1 + jnp.cos(jnp.pi * progress)) * peak
        return jnp.where(step < warmup_steps, rising, falling)

    return schedule


def fitting_warmup(warmup_steps: int, total_steps: int, share: float = WARMUP_SHARE) -> int:
    """The warm-up steps of a run: as many as wanted, but at most its share of all steps.

    >>> fitting_warmup(1000, 196_000), fitting_warmup(1000, 280)
    (1000, 70)
    """
    return min(warmup_steps, int(share * total_steps))


def by_name(
    name: str,
    peak: float,
    warmup_steps: int,
    total_steps: int,
    warmup_share: float = WARMUP_SHARE,
) -> optax.Schedule:
    """The schedule that a config names, its warm-up cut to `fitting_warmup`.

    Raises:
      UserError: unknown name, a warm-up that is negative, or a share outside of [0, 1].
    """
    if warmup_steps < 0:
        raise UserError(f"schedule.warmup_steps is {warmup_steps}; it must be 0 or more")
    if not 0 <= warmup_share <= 1:
        raise UserError(f"schedule.warmup_share is {warmup_share}; it must be in [0, 1]")
    if name == "warmup_cosine":
        warmup_steps = fitting_warmup(warmup_steps, total_steps, warmup_share)
        return warmup_cosine(peak, warmup_steps, total_steps)
    if name == "constant":
        return optax.constant_schedule(peak)
    raise unknown("schedule", name, NAMES)
