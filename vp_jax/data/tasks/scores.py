"""The metrics of tasks, from predicted and true labels.

Macro-F1 and worst-group accuracy are those of WILDS (Koh et al. 2021, arXiv 2012.07421), in its
package `common/metrics/all_metrics.py` and `datasets/fmow_dataset.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vp_jax.errors import UserError, unknown

LEFT_OUT = "Other"
"""The group that worst-group accuracy does not look at: WILDS's places outside all regions."""


def score(
    metric: str,
    predictions: np.ndarray,
    labels: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    group_names: Sequence[str] = (),
) -> float:
    """A split's score in [0, 1].

    - `accuracy`: the share of examples that are predicted right.
    - `mean_per_class`: the mean over classes of their recall.
    - `macro_f1`: the mean over classes of the harmonic mean of precision and recall.
    - `worst_group_accuracy`: the smallest accuracy of a group not named `LEFT_OUT`.

    Only classes that are among `labels` count, and only groups that have examples.

    Args:
      metric: one of `METRICS`.
      predictions: predicted classes, integers `[N]`.
      labels: true classes, integers `[N]`.
      groups: numbers of the groups, integers `[N]`; only `worst_group_accuracy` needs them.
      group_names: of the groups in the order of their numbers; empty if they have none.

    Raises:
      UserError: there is no such metric; there are no examples; the arrays have not one integer for
        each; groups are missing or without a name; or no group is left.
    """
    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    predictions, labels = _checked(predictions=predictions, labels=labels)
    if metric != "worst_group_accuracy":
        return float(_SCORES[metric](predictions, labels))
    if groups is None:
        raise UserError(
            f"the metric {metric!r} needs the group of every example, and the data have none"
        )
    accuracies = _group_accuracies(predictions, labels, groups, group_names)
    counted = [accuracy for name, accuracy in accuracies if name != LEFT_OUT]
    if not counted:
        raise UserError(
            f"the metric {metric!r} has no group to look at: all examples are in {LEFT_OUT!r}"
        )
    return min(counted)


def per_group(
    predictions: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    group_names: Sequence[str] = (),
) -> dict[str, float]:
    """The accuracy in each group that has examples, by name, in the order of their numbers.

    Args:
      predictions: predicted classes, integers `[N]`.
      labels: true classes, integers `[N]`.
      groups: numbers of the groups, integers `[N]`.
      group_names: in the order of their numbers; without names, a group's number is its name.

    Raises:
      UserError: there are no examples, the arrays have not one integer for each, or a group has no
        name among those given.
    """
    return dict(_group_accuracies(predictions, labels, groups, group_names))


def _group_accuracies(
    predictions: np.ndarray, labels: np.ndarray, groups: np.ndarray, group_names: Sequence[str]
) -> list[tuple[str, float]]:
    predictions, labels, groups = _checked(predictions=predictions, labels=labels, groups=groups)
    present, members = np.unique(groups, return_inverse=True)
    if group_names and not 0 <= present[0] <= present[-1] < len(group_names):
        nameless = present[0] if present[0] < 0 else present[-1]
        raise UserError(
            f"an example is in group {nameless}, but there are only {len(group_names)} names of "
            f"groups: {', '.join(group_names)}"
        )
    names = [group_names[g] if group_names else str(g) for g in present]
    right = np.bincount(members, weights=predictions == labels)
    return list(zip(names, (right / np.bincount(members)).tolist(), strict=True))


def _accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    return np.mean(predictions == labels)


def _mean_per_class(predictions: np.ndarray, labels: np.ndarray) -> float:
    right, true, _ = _counts(predictions, labels)
    return np.mean(right / true)


def _macro_f1(predictions: np.ndarray, labels: np.ndarray) -> float:
    right, true, predicted = _counts(predictions, labels)
    return np.mean(2 * right / (true + predicted))


def _counts(
    predictions: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each class among the labels: how many are predicted right, have it, are predicted it."""
    classes, true = np.unique(labels, return_counts=True)
    hits = np.searchsorted(classes, labels[predictions == labels])
    known = predictions[np.isin(predictions, classes)]
    size = len(classes)
    right = np.bincount(hits, minlength=size)
    return right, true, np.bincount(np.searchsorted(classes, known), minlength=size)


_SCORES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": _accuracy,
    "mean_per_class": _mean_per_class,
    "macro_f1": _macro_f1,
}

METRICS = (*_SCORES, "worst_group_accuracy")
"""The names of all metrics."""


def _checked(**arrays: np.ndarray) -> list[np.ndarray]:
    """The arrays, if each is a vector of integers and all have one length that is not 0."""
    checked = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in checked.items():
        if array.ndim != 1:
            raise UserError(f"{name} must be a vector, one number an example: {array.shape}")
        if len(array) and not np.issubdtype(array.dtype, np.integer):
            raise UserError(f"{name} must be integers, the numbers of classes: {array.dtype}")
    lengths = {name: len(array) for name, array in checked.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{length} {name}" for name, length in lengths.items())
        raise UserError(f"there must be as many of each: {said}")
    if not lengths["labels"]:
        raise UserError("a split without examples has no score")
    return list(checked.values())
