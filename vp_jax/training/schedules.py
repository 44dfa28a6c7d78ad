"""Learning rates as functions of the step."""

from __future__ import annotations

import jax.numpy as jnp
import optax

from vp_jax.errors import UserError, unknown

NAMES = ("warmup_cosine", "constant")


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

    def schedule(step):
        step = jnp.asarray(step, jnp.float32)
        rising = peak * (step + 1) / max(warmup_steps, 1)
        progress = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
        falling = 0.5 * (1 + jnp.cos(jnp.pi * progress)) * peak
        return jnp.where(step < warmup_steps, rising, falling)

    return schedule


def by_name(name: str, peak: float, warmup_steps: int, total_steps: int) -> optax.Schedule:
    """The schedule that a config names.

    Raises:
      UserError: unknown name, or a warm-up that is negative.
    """
    if warmup_steps < 0:
        raise UserError(f"schedule.warmup_steps is {warmup_steps}; it must be 0 or more")
    if name == "warmup_cosine":
        return warmup_cosine(peak, warmup_steps, total_steps)
    if name == "constant":
        return optax.constant_schedule(peak)
    raise unknown("schedule", name, NAMES)
