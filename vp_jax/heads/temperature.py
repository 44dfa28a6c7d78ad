"""One number for calibration: how sure a head is of what it says."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from vp_jax.errors import UserError
from vp_jax.heads.base import Head, Params
from vp_jax.heads.on_top import on_top

COLDEST, HOTTEST = 1e-3, 1e3
HALVINGS = 60


def temperature(base: Head) -> Head:
    """Logits divided by one number: `z = f / T`, which changes probabilities and no answer.

    Guo et al., "On Calibration of Modern Neural Networks" (1706.04599). With a prompt that trains
    beside it, it is the Neural Clamping of Tang et al. (2209.11604).

    Args:
      base: as for `residual`.

    Returns:
      The head. Its parameters are those of `base`, which gradients do not train, and
      `log_temperature`, float32, zero, of which T is the exponential.

    Raises:
      UserError: as `residual`.
    """

    def init(classes: int) -> Params:
        return {"log_temperature": jnp.zeros((), jnp.float32)}

    def change(params: Params, logits: jax.Array) -> jax.Array:
        return logits * jnp.exp(-params["log_temperature"])

    return on_top("temperature", base, init, change)


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature under which labels are most likely, from 0.001 to 1,000.

    The mean cross-entropy of `logits / T` is convex in 1 / T; where its derivative, the mean of
    what the model expects of a logit less that of the label, is zero is found by bisection.

    Args:
      logits: [N, K], finite, of images that nothing was trained on.
      labels: [N], integers.

    Raises:
      UserError: arrays of other shapes, or numbers that are not finite.
    """
    z, y = np.asarray(logits, np.float64), np.asarray(labels)
    if z.ndim != 2 or y.shape != z.shape[:1] or not z.size or not np.isfinite(z).all():
        raise UserError(
            f"a temperature is fitted to finite logits [N, K] and labels [N], got {z.shape} and "
            f"{y.shape}"
        )
    z = z - z.max(axis=1, keepdims=True)

    def slope(inverse: float) -> float:
        p = np.exp(inverse * z)
        p /= p.sum(axis=1, keepdims=True)
        return float(((p * z).sum(axis=1) - z[np.arange(len(y)), y]).mean())

    low, high = np.log(1 / HOTTEST), np.log(1 / COLDEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(np.exp(middle)) < 0 else (low, middle)
    return float(np.exp(-(low + high) / 2))
