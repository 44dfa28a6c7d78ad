"""The linear probe: multinomial logistic regression on a backbone's frozen features.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021, arXiv
2103.00020), appendix A.3, whose probes are scikit-learn's LogisticRegression with L-BFGS, at most
1,000 iterations and a regularisation chosen on validation images.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from absl import logging
from jax.typing import ArrayLike

from vp_jax.errors import UserError, unknown
from vp_jax.heads.fit.logistic_regression import by_optax, by_sklearn
from vp_jax.prompts.checks import check_int

SOLVERS = ("auto", "sklearn", "optax")
SKLEARN_UP_TO = 10_000_000
"""`"auto"` is `"sklearn"` up to this many images * features * classes."""

GRID = (1e-6, 1e-4, 1e-2, 1.0, 1e2, 1e4, 1e6)
REFINEMENTS = 4
"""Radford et al.: from steps of two decades on, half steps until there are 8 a decade."""

TOLERANCE = 1e-5
"""A fit has converged when the gradient is this small, as a share of the gradient at zero."""

ABSENT = -1e9
"""The bias of a class without training images: its best bias is minus infinity."""


class Probe(NamedTuple):
    """A fitted linear probe.

    Attributes:
      params: of the head `linear()`: `kernel` [D, K] and `bias` [K], numpy, float32.
      iterations: how many L-BFGS iterations it took.
      converged: whether the gradient became small before the iterations ran out.
    """

    params: dict[str, np.ndarray]
    iterations: int
    converged: bool


def fit(
    features: ArrayLike,
    labels: ArrayLike,
    classes: int,
    c: float,
    *,
    solver: str = "auto",
    max_iterations: int = 1000,
) -> Probe:
    """Fits a linear probe with one strength of regularisation.

    Minimises `0.5 * sum(kernel ** 2) + c * sum over images of the cross entropy` of
    `features @ kernel + bias`; the bias is not penalised. For three classes or more this is
    scikit-learn's LogisticRegression(C=c); for two, where scikit-learn penalises the difference of
    the two columns, it is its C=2c. Of the biases, which are free up to a constant, the one with
    mean 0 is given. A class without training images gets a kernel of zeros and the bias -1e9, so
    that it is never predicted.

    The solvers see features that are centred and divided by one number (their root mean square
    length), and a penalty scaled to match, which changes their speed and not the minimum. They
    start at zero and stop when the gradient is 1e-5 of the gradient there. Where c is so large that
    the classes are all but separated, the loss is flat and this is some way before its minimum.

    Args:
      features: [N, D], finite numbers.
      labels: [N], integers from 0 to K - 1.
      classes: K, at least 2.
      c: inverse strength of the regularisation, above 0.
      solver: `"sklearn"` (float64, on the host), `"optax"` (float32, on the device that JAX uses)
        or `"auto"`: the first up to N * D * K of 1e7, the second above.
      max_iterations: of L-BFGS.

    Returns:
      The probe; when it has not converged, a warning is logged.

    Raises:
      UserError: for data of wrong shapes, features that are not finite, labels out of range, labels
        of one class only, or settings out of range.
    """
    return _solve(_prepare(features, labels, classes, solver), c, max_iterations)


def sweep(
    features: ArrayLike,
    labels: ArrayLike,
    val_features: ArrayLike,
    val_labels: ArrayLike,
    classes: int,
    *,
    grid: Sequence[float] = GRID,
    refinements: int = REFINEMENTS,
    solver: str = "auto",
    max_iterations: int = 1000,
    progress: Callable[[float, float], object] | None = None,
) -> tuple[Probe, float, list[tuple[float, float]]]:
    """Fits linear probes and chooses the regularisation by accuracy on validation images.

    First every c of the grid; then, `refinements` times, the c half way (of their logarithms)
    between the best c so far and each of its neighbours so far. Of equal accuracies the smallest c
    is the best. With the defaults this is the search of Radford et al. 2021, appendix A.3: 7 c two
    decades apart, then around the peak to a resolution of 8 a decade; 15 fits at most.

    Args:
      features, labels, classes, solver, max_iterations: as for `fit`.
      val_features: [M, D], finite numbers.
      val_labels: [M], integers from 0 to K - 1.
      grid: different numbers above 0, in any order.
      refinements: at least 0.
      progress: called after every fit with its c and its accuracy.

    Returns:
      The best probe, its c, and every c with its accuracy on the validation images, 0 to 1, in the
      order of c. The same arguments give the same result.

    Raises:
      UserError: as for `fit`; for validation data of another width; for a grid that is empty, has
        a number twice or one that is not above 0.
    """
    grid = sorted(map(_check_c, grid))
    if not grid or len(set(grid)) < len(grid):
        raise UserError(f"the grid of a sweep must be different numbers above 0, got {grid}")
    refinements = check_int("the number of refinements of a sweep", refinements, 0)
    problem = _prepare(features, labels, classes, solver)
    val_features, val_labels = _check_data("validation", val_features, val_labels, classes)
    if val_features.shape[1] != problem.mean.size:
        raise UserError(
            f"the validation features have width {val_features.shape[1]}, but the training"
            f" features {problem.mean.size}: make both with the same backbone"
        )
    probes: dict[float, Probe] = {}
    accuracies: dict[float, float] = {}

    def try_all(candidates: Sequence[float]) -> float:
        for c in candidates:
            probes[c] = _solve(problem, c, max_iterations)
            accuracies[c] = accuracy(probes[c].params, val_features, val_labels)
            if progress is not None:
                progress(c, accuracies[c])
        return min(accuracies, key=lambda c: (-accuracies[c], c))

    best = try_all(grid)
    for _ in range(refinements):
        tried = sorted(accuracies)
        place = tried.index(best)
        neighbours = tried[max(place - 1, 0) : place] + tried[place + 1 : place + 2]
        best = try_all([math.sqrt(best) * math.sqrt(c) for c in neighbours])
    return probes[best], best, sorted(accuracies.items())


def accuracy(params: Mapping[str, ArrayLike], features: ArrayLike, labels: ArrayLike) -> float:
    """The share, 0 to 1, of images whose largest logit is that of their class.

    Args:
      params: `kernel` [D, K] and `bias` [K].
      features: [N, D].
      labels: [N], integers.
    """
    logits = np.asarray(features) @ params["kernel"] + params["bias"]
    return float(np.mean(logits.argmax(axis=1) == labels))


class _Problem(NamedTuple):
    """Checked training data in the form that the solvers take.

    Attributes:
      features: [N, D], the given features less `mean`, divided by `scale`.
      labels: [N], int32, numbering the classes that are present.
      mean, scale: [D] and a number above 0.
      present: the classes that have images, ascending.
      classes: K.
      solver: `"sklearn"` or `"optax"`.
    """

    features: np.ndarray | jax.Array
    labels: np.ndarray | jax.Array
    mean: np.ndarray
    scale: float
    present: np.ndarray
    classes: int
    solver: str


def _prepare(features: ArrayLike, labels: ArrayLike, classes: int, solver: str) -> _Problem:
    classes = check_int("the number of classes of a linear probe", classes, 2)
    x, y = _check_data("training", features, labels, classes)
    if solver not in SOLVERS:
        raise unknown("solver of a linear probe", solver, SOLVERS)
    if solver == "auto":
        solver = "sklearn" if x.size * classes <= SKLEARN_UP_TO else "optax"
    present, places = np.unique(y, return_inverse=True)
    if present.size < 2:
        raise UserError(
            f"a linear probe needs training images of at least 2 classes, but all {len(y)}"
            f" are of class {present[0]}"
        )
    mean = x.mean(axis=0, dtype=np.float64).astype(x.dtype)
    x = x - mean
    scale = math.sqrt(np.square(x).sum(axis=1, dtype=np.float64).mean()) or 1.0
    x /= scale
    data: tuple[np.ndarray | jax.Array, np.ndarray | jax.Array] = x, places.astype(np.int32)
    if solver == "optax":
        data = jax.device_put((x.astype(np.float32), data[1]))
    return _Problem(*data, mean.astype(np.float64), scale, present, classes, solver)


def _solve(problem: _Problem, c: float, max_iterations: int) -> Probe:
    c = _check_c(c)
    max_iterations = check_int("max_iterations of a linear probe", max_iterations, 1)
    run = by_sklearn if problem.solver == "sklearn" else by_optax
    # The solvers' kernel is scale * kernel, so their penalty is 1 / scale ** 2 of the stated one;
    # the stated objective divided by c * N is their mean cross entropy plus this penalty.
    strength = 1.0 / (c * problem.scale**2 * len(problem.labels))
    found = run(
        problem.features,
        problem.labels,
        len(problem.present),
        strength,
        tolerance=TOLERANCE,
        max_iterations=max_iterations,
    )
    if not found.converged:
        logging.warning(
            "The linear probe with c = %g has not converged after %d iterations of solver %s; raise"
            " max_iterations to come closer to its minimum.",
            c,
            found.iterations,
            problem.solver,
        )
    kernel = found.kernel / problem.scale
    bias = found.bias - problem.mean @ kernel
    params = {
        "kernel": np.zeros((len(kernel), problem.classes), np.float32),
        "bias": np.full(problem.classes, ABSENT, np.float32),
    }
    params["kernel"][:, problem.present] = kernel
    params["bias"][problem.present] = bias - bias.mean()
    return Probe(params, found.iterations, found.converged)


def _check_c(c: object) -> float:
    if isinstance(c, bool) or not isinstance(c, numbers.Real) or not 0 < float(c) < math.inf:
        raise UserError(f"c of a linear probe must be a finite number above 0, got {c!r}")
    return float(c)


def _check_data(
    what: str, features: ArrayLike, labels: ArrayLike, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns features, floating, and labels as numpy arrays; refuses what `fit` refuses."""
    features, labels = np.asarray(jax.device_get(features)), np.asarray(jax.device_get(labels))
    if features.ndim != 2 or not features.size:
        raise UserError(f"{what} features must be [images, width], got shape {features.shape}")
    if features.dtype not in (np.float32, np.float64):
        features = features.astype(np.float32)
    if labels.shape != features.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"{what} labels must be one integer for each of the {len(features)} images, got"
            f" {labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise UserError(
            f"{what} labels must be from 0 to {classes - 1}, since there are {classes} classes;"
            f" they are from {labels.min()} to {labels.max()}"
        )
    if not np.isfinite(features).all():
        bad = int(np.argmin(np.isfinite(features).all(axis=1)))
        raise UserError(f"the {what} features of image {bad} are not finite")
    return features, labels
