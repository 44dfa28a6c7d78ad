"""The residual of a head, fitted exactly to logits that do not change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike

from vp_jax.errors import UserError
from vp_jax.heads.fit.likelihood import log_likelihood
from vp_jax.heads.fit.logistic_regression import lbfgs

GRID = tuple(10.0**power for power in range(-6, 3))
TOLERANCE = 1e-4
MAX_ITERATIONS = 200


class Fit(NamedTuple):
    """A fitted residual.

    Attributes:
      residual: E, [K, K], float32.
      c: the inverse strength of the regularisation that was chosen; 0 where E is zero.
      tried: every c with the mean cross-entropy on the validation images.
    """

    residual: np.ndarray
    c: float
    tried: list[tuple[float, float]]


def fit_residual(
    logits: ArrayLike,
    labels: ArrayLike,
    val_logits: ArrayLike,
    val_labels: ArrayLike,
    grid: Sequence[float] = GRID,
) -> Fit:
    """The E of `residual` that fits the logits f of the head below it.

    Minimises `0.5 * sum(E ** 2) + c * (sum over images of the cross-entropy of f + f E)`, which is
    convex, by L-BFGS from zero, for every c; the one under which the validation labels are most
    likely is taken, and E = 0, which changes nothing, is among them.

    Args:
      logits, val_logits: [N, K] and [M, K], finite.
      labels, val_labels: [N] and [M], integers from 0 to K - 1.
      grid: of c, numbers above 0.

    Raises:
      UserError: arrays of other shapes, or numbers that are not finite.
    """
    f, y = _check("training", logits, labels)
    held_out, answers = _check("validation", val_logits, val_labels)
    scale = math.sqrt(np.square(f).sum(axis=1, dtype=np.float64).mean()) or 1.0
    data = jax.device_put((f, y))
    zero = np.zeros((f.shape[1], f.shape[1]), np.float32)
    best, tried = Fit(zero, 0.0, []), [(0.0, -log_likelihood(held_out, answers))]
    for c in sorted(grid):
        strength = np.float32(1.0 / (c * scale**2 * len(y)))
        found = np.asarray(_minimise(*data, np.float32(scale), strength)) / np.float32(scale)
        tried.append((c, -log_likelihood(held_out + held_out @ found, answers)))
        if np.isfinite(tried[-1][1]) and tried[-1][1] < min(loss for _, loss in tried[:-1]):
            best = Fit(found, c, [])
    return best._replace(tried=tried)


@jax.jit
def _minimise(f: jax.Array, labels: jax.Array, scale: jax.Array, strength: jax.Array) -> jax.Array:
    """`scale * E` that minimises the mean cross-entropy plus its penalty."""
    shrunk = f / scale

    def objective(kernel: jax.Array) -> jax.Array:
        z = f + jnp.matmul(shrunk, kernel, precision=jax.lax.Precision.HIGHEST)
        losses = optax.softmax_cross_entropy_with_integer_labels(z, labels)
        return losses.mean() + 0.5 * strength * jnp.sum(kernel**2)

    start = jnp.zeros((f.shape[1], f.shape[1]), jnp.float32)
    kernel, _, _ = lbfgs(objective, start, jnp.float32(TOLERANCE), jnp.int32(MAX_ITERATIONS))
    return kernel


def _check(what: str, logits: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    f, y = np.asarray(logits, np.float32), np.asarray(labels)
    if f.ndim != 2 or not f.size or y.shape != f.shape[:1] or not np.isfinite(f).all():
        raise UserError(
            f"a residual is fitted to finite logits [N, K] and labels [N]; those of the {what} "
            f"images have shapes {f.shape} and {y.shape}, or are not finite"
        )
    return f, y
