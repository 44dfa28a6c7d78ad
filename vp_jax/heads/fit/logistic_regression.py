"""Multinomial logistic regression by L-BFGS, in two ways: scikit-learn's and one jitted loop.

Both minimise `mean cross entropy + 0.5 * strength * sum(kernel ** 2)` from zero. L-BFGS: Liu and
Nocedal, "On the Limited Memory BFGS Method for Large Scale Optimization" (1989).
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike


class Minimum(NamedTuple):
    """What a solver found.

    Attributes:
      kernel, bias: [D, K] and [K], numpy, float64.
      iterations: how many it took.
      converged: whether the gradient became small before they ran out.
    """

    kernel: np.ndarray
    bias: np.ndarray
    iterations: int
    converged: bool


def by_sklearn(
    features: ArrayLike,
    labels: ArrayLike,
    classes: int,
    strength: float,
    *,
    tolerance: float,
    max_iterations: int,
) -> Minimum:
    """Minimises by scikit-learn's LogisticRegression, in float64 on one core of the host.

    One core, because the products are small and BLAS threads that wait for each other and for JAX's
    make an iteration up to 18 times slower.

    Args:
      features: [N, D], centred: the mean over the images is 0.
      labels: [N], integers from 0 to K - 1, each of which occurs.
      classes: K, at least 2.
      strength: of the penalty, above 0.
      tolerance: the gradient's largest number at the end, as a share of the same at zero.
      max_iterations: of L-BFGS.

    Returns:
      The minimum.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    x, y = np.asarray(features, np.float64), np.asarray(labels)
    # With two classes scikit-learn fits the difference of the columns, w = 2 * kernel[:, 1], under
    # a penalty of 0.5 * |w|^2, twice that of the two columns.
    c = (2.0 if classes == 2 else 1.0) / (strength * len(y))
    tolerance *= _gradient_at_zero(x, y, classes)
    model = LogisticRegression(C=c, tol=tolerance, max_iter=max_iterations)
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(x, y)
    converged = not any(issubclass(w.category, ConvergenceWarning) for w in caught)
    kernel, bias = model.coef_.T, model.intercept_
    if classes == 2:
        kernel, bias = np.concatenate([-kernel, kernel], 1) / 2, np.concatenate([-bias, bias]) / 2
    return Minimum(kernel, bias, int(model.n_iter_[0]), converged)


def by_optax(
    features: ArrayLike,
    labels: ArrayLike,
    classes: int,
    strength: float,
    *,
    tolerance: float,
    max_iterations: int,
) -> Minimum:
    """Minimises by one jitted loop of optax.lbfgs, in float32 on the device that JAX uses.

    Args:
      features, labels, classes, strength, max_iterations: as for `by_sklearn`.
      tolerance: the gradient's Euclidean norm at the end, as a share of the same at zero.

    Returns:
      The minimum. Also where float32 gives no step that lowers the loss, the loop ends, and the
      minimum says that it has not converged.
    """
    settings = jax.device_put((np.float32(strength), np.float32(tolerance), max_iterations))
    done = _minimise(features, labels, *settings, classes=classes)
    params, iterations, converged = jax.device_get(done)
    kernel, bias = params["kernel"].astype(np.float64), params["bias"].astype(np.float64)
    return Minimum(kernel, bias, int(iterations), bool(converged))


def _gradient_at_zero(features: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """The largest number of the mean cross entropy's gradient where all parameters are 0."""
    share = np.bincount(labels, minlength=classes) / len(labels)
    largest = np.abs(share - 1 / classes).max()
    for label in range(classes):
        own = features[labels == label].sum(axis=0) / len(labels)  # all features have mean 0
        largest = max(largest, np.abs(own).max())
    return float(largest)


_Carry = tuple[Any, optax.OptState, jax.Array, jax.Array, jax.Array]
"""Parameters, state, iterations; whether the gradient is small; whether nothing moved."""


@functools.partial(jax.jit, static_argnames="classes")
def _minimise(
    features: jax.Array,
    labels: jax.Array,
    strength: jax.Array,
    tolerance: jax.Array,
    max_iterations: jax.Array,
    *,
    classes: int,
) -> tuple[dict[str, jax.Array], jax.Array, jax.Array]:
    """L-BFGS from zero on the mean cross entropy plus 0.5 * strength * sum(kernel ** 2)."""

    def objective(params: dict[str, jax.Array]) -> jax.Array:
        kernel, bias = params["kernel"], params["bias"]
        logits = jnp.matmul(features, kernel, precision=jax.lax.Precision.HIGHEST) + bias
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean() + 0.5 * strength * jnp.sum(kernel**2)

    params = {
        "kernel": jnp.zeros((features.shape[1], classes), jnp.float32),
        "bias": jnp.zeros(classes, jnp.float32),
    }
    return lbfgs(objective, params, tolerance, max_iterations)


def lbfgs(
    objective: Callable[[Any], jax.Array],
    params: Any,
    tolerance: jax.Array,
    max_iterations: jax.Array,
) -> tuple[Any, jax.Array, jax.Array]:
    """L-BFGS from `params`, a tree of arrays, inside a jitted function.

    Args:
      objective: from parameters to a number.
      params: where it begins.
      tolerance: the gradient's norm at the end, as a share of that at the beginning.
      max_iterations: at most so many.

    Returns:
      The minimum, the number of iterations, and whether the gradient is small there.
    """
    optimizer = optax.lbfgs()  # with a zoom line search
    value_and_grad = optax.value_and_grad_from_state(objective)
    at_start = optax.tree.norm(jax.grad(objective)(params))

    def step(carry: _Carry) -> _Carry:
        params, state, i, _, _ = carry
        value, grad = value_and_grad(params, state=state)
        updates, state = optimizer.update(
            grad, state, params, value=value, grad=grad, value_fn=objective
        )
        moved = optax.apply_updates(params, updates)
        same = optax.tree.norm(updates) == 0
        small = optax.tree.norm(optax.tree.get(state, "grad")) <= tolerance * at_start
        return moved, state, i + 1, small, same

    def unfinished(carry: _Carry) -> jax.Array:
        _, _, i, small, same = carry
        return (i < max_iterations) & ~small & ~same

    start = (params, optimizer.init(params), jnp.int32(0), at_start == 0, jnp.bool(False))
    params, _, iterations, small, _ = jax.lax.while_loop(unfinished, step, start)
    return params, iterations, small
