"""Learning rates as functions of the step."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike

from vp_jax.errors import UserError, unknown

NAMES = ("warmup_cosine", "restarts", "drops", "constant")
WARM_UP = ("warmup_cosine", "restarts")
"""Those that begin with a warm-up."""
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
      An optax schedule: step (0 for the first update) to learning rate, a float of JAX's default.
    """

    def schedule(step: ArrayLike) -> jax.Array:
        step = jnp.asarray(step, float)
        rising = peak * (step + 1) / max(warmup_steps, 1)
        progress = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
        falling = 0.5 * (1 + jnp.cos(jnp.pi * progress)) * peak
        return jnp.where(step < warmup_steps, rising, falling)

    return schedule


def restarts(
    peak: float, warmup_steps: int, total_steps: int, cycles: int, growth: float = 1.0
) -> optax.Schedule:
    """Linear warm-up, then half a cosine from the peak to zero again and again, the last of which
    ends with the run.

    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (1608.03983),
    where the lengths of the first cycle and not their number is given. One cycle is
    `warmup_cosine`.

    Args:
      peak, warmup_steps, total_steps: as for `warmup_cosine`.
      cycles: how many, at least 1.
      growth: how much longer each is than the one before, above 0.
    """
    lengths = growth ** np.arange(cycles)
    shares = np.concatenate([[0.0], np.cumsum(lengths) / lengths.sum()])
    begins = jnp.asarray(shares * max(total_steps - warmup_steps, 1), float)

    def schedule(step: ArrayLike) -> jax.Array:
        step = jnp.asarray(step, float)
        rising = peak * (step + 1) / max(warmup_steps, 1)
        since = step - warmup_steps
        cycle = jnp.clip(jnp.searchsorted(begins, since, side="right") - 1, 0, cycles - 1)
        progress = (since - begins[cycle]) / (begins[cycle + 1] - begins[cycle])
        falling = 0.5 * (1 + jnp.cos(jnp.pi * progress)) * peak
        return jnp.where(step < warmup_steps, rising, falling)

    return schedule


def drops(peak: float, total_steps: int, at: Sequence[float], factor: float) -> optax.Schedule:
    """The peak, multiplied by a factor at each of some shares of the run.

    With 0.5 and 0.72 and the factor 0.1 that of ILM-VP, AutoVP and SMM, who count in epochs.
    """
    steps = jnp.asarray([share * total_steps for share in at], float)

    def schedule(step: ArrayLike) -> jax.Array:
        passed = (jnp.asarray(step, float)[..., None] >= steps).sum(axis=-1)
        return peak * jnp.asarray(factor, float) ** passed

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
    *,
    cycles: int = 4,
    growth: float = 1.0,
    drop_at: Sequence[float] = (0.5, 0.72),
    drop: float = 0.1,
) -> optax.Schedule:
    """The schedule that a config names, its warm-up cut to `fitting_warmup`.

    All but `constant` are defined by shares of the run, and end with it whatever its length.

    Args:
      name: one of `NAMES`.
      peak: the highest learning rate.
      warmup_steps, total_steps: of the run.
      warmup_share: of the steps that are warm-up at most.
      cycles, growth: of `restarts`.
      drop_at, drop: of `drops`: its shares of the run, and the factor.

    Raises:
      UserError: unknown name, or a number out of range.
    """
    _check(cycles, growth, drop_at, drop)
    if warmup_steps < 0:
        raise UserError(f"schedule.warmup_steps is {warmup_steps}; it must be 0 or more")
    if not 0 <= warmup_share <= 1:
        raise UserError(f"schedule.warmup_share is {warmup_share}; it must be in [0, 1]")
    if name == "warmup_cosine":
        warmup_steps = fitting_warmup(warmup_steps, total_steps, warmup_share)
        return warmup_cosine(peak, warmup_steps, total_steps)
    if name == "restarts":
        warmup_steps = fitting_warmup(warmup_steps, total_steps, warmup_share)
        return restarts(peak, warmup_steps, total_steps, cycles, growth)
    if name == "drops":
        return drops(peak, total_steps, drop_at, drop)
    if name == "constant":
        return optax.constant_schedule(peak)
    raise unknown("schedule", name, NAMES)


def _check(cycles: int, growth: float, drop_at: Sequence[float], drop: float) -> None:
    for name, value, right, wanted in (
        ("cycles", cycles, cycles >= 1, "at least 1"),
        ("growth", growth, 0 < growth < math.inf, "above 0 and finite"),
        ("drop_at", drop_at, all(map(_is_share, drop_at)), "shares in [0, 1]"),
        ("drop", drop, 0 < drop <= 1, "in (0, 1]"),
    ):
        if not right:
            raise UserError(f"schedule.{name} is {value}; it must be {wanted}")


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1
