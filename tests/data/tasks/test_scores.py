"""Metrics: equal to scikit-learn's and to WILDS's definitions, and never of nothing."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from vp_jax.data.tasks import scores, task
from vp_jax.errors import UserError

REGIONS = ("Asia", "Europe", "Africa", "Americas", "Oceania", "Other")

# name: predictions, labels
CASES = {
    "perfect": ([0, 1, 2], [0, 1, 2]),
    "all wrong": ([1, 2, 0], [0, 1, 2]),
    "one class": ([3, 3, 3], [3, 3, 3]),
    "one class, never predicted": ([0, 1, 2], [3, 3, 3]),
    "one example, right": ([5], [5]),
    "one example, wrong": ([0], [5]),
    "class never predicted": ([0, 0, 1, 1], [0, 0, 1, 2]),
    "class only predicted": ([0, 7, 1, 7], [0, 0, 1, 1]),
    "class far above": ([181, 0, 181, 3], [181, 181, 0, 3]),
    "majority": ([0] * 10, [0] * 9 + [1]),
}


def sklearn_scores(predictions, labels):
    """As WILDS calls scikit-learn: over the classes among the labels."""
    from sklearn import metrics

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        present = np.unique(labels)
        return {
            "accuracy": metrics.accuracy_score(labels, predictions),
            "mean_per_class": metrics.recall_score(
                labels, predictions, average="macro", labels=present
            ),
            "macro_f1": metrics.f1_score(labels, predictions, average="macro", labels=present),
        }


@pytest.mark.parametrize("name", CASES)
def test_degenerate_input_against_scikit_learn(name):
    predictions, labels = map(np.array, CASES[name])
    for metric, expected in sklearn_scores(predictions, labels).items():
        assert scores.score(metric, predictions, labels) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_random_input_against_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    classes, size = int(rng.integers(2, 200)), int(rng.integers(1, 3000))
    labels = rng.integers(0, classes, size, dtype=np.int32)
    predictions = rng.integers(0, classes, size)
    right = rng.random(size) < rng.random()
    predictions[right] = labels[right]
    for metric, expected in sklearn_scores(predictions, labels).items():
        found = scores.score(metric, predictions, labels)
        assert type(found) is float and found == pytest.approx(expected, abs=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sklearn import metrics

        balanced = metrics.balanced_accuracy_score(labels, predictions)
    assert scores.score("mean_per_class", predictions, labels) == pytest.approx(balanced, abs=1e-12)


def test_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 2])
    predictions = np.array([0, 0, 1, 1, 3, 0])
    assert scores.score("accuracy", predictions, labels) == 3 / 6
    assert scores.score("mean_per_class", predictions, labels) == pytest.approx(
        (2 / 3 + 1 / 2 + 0) / 3
    )
    # Class 0: precision 2/3, recall 2/3; class 1: 1/2, 1/2; class 2: 0. Class 3 is no label.
    assert scores.score("macro_f1", predictions, labels) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_worst_region_by_hand():
    groups = np.array([0, 0, 0, 0, 2, 2, 3, 5, 5])
    right = np.array([1, 1, 1, 0, 1, 1, 1, 0, 0])
    labels = np.arange(9)
    predictions = np.where(right, labels, labels + 100)
    found = scores.per_group(predictions, labels, groups, REGIONS)
    assert found == {"Asia": 0.75, "Africa": 1.0, "Americas": 1.0, "Other": 0.0}
    assert list(found) == ["Asia", "Africa", "Americas", "Other"]
    worst = scores.score(
        "worst_group_accuracy", predictions, labels, groups=groups, group_names=REGIONS
    )
    assert worst == 0.75  # Not Other's 0, nor that of Europe, which has no example.
    assert scores.score("worst_group_accuracy", predictions, labels, groups=groups) == 0.0
    assert scores.per_group(predictions, labels, groups)["5"] == 0.0


@pytest.mark.parametrize("seed", range(10))
def test_groups_against_loops(seed):
    """WILDS's `compute_group_wise` and its loop over the regions of FMoW, written out."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(6, 500))
    labels, predictions = rng.integers(0, 3, (2, size))
    groups = rng.choice([0, 1, 3, 4, 5], size).astype(np.int32)
    groups[0] = 4
    listed = []
    for number, name in enumerate(REGIONS):
        inside = groups == number
        if inside.sum() == 0 or "Other" in name:
            continue
        listed.append((predictions[inside] == labels[inside]).mean())
    found = scores.score(
        "worst_group_accuracy", predictions, labels, groups=groups, group_names=REGIONS
    )
    assert type(found) is float and found == pytest.approx(min(listed), abs=1e-12)
    shares = scores.per_group(predictions, labels, groups, REGIONS)
    counts = {name: (groups == number).sum() for number, name in enumerate(REGIONS)}
    assert set(shares) == {name for name, count in counts.items() if count}
    total = sum(share * counts[name] for name, share in shares.items()) / size
    assert total == pytest.approx(scores.score("accuracy", predictions, labels))


def test_groups_of_one_name_are_two_groups():
    found = scores.score(
        "worst_group_accuracy",
        np.array([0, 1]),
        np.array([0, 0]),
        groups=np.array([1, 0]),
        group_names=("same", "same"),
    )
    assert found == 0.0


def test_numbers_of_groups_without_names_may_be_any():
    groups = np.array([322, 7, 322, -1])
    found = scores.per_group(np.array([0, 1, 1, 1]), np.array([0, 0, 0, 1]), groups)
    assert found == {"-1": 1.0, "7": 0.0, "322": 0.5}


def test_order_and_types_do_not_matter():
    rng = np.random.default_rng(0)
    labels, predictions, groups = rng.integers(0, 5, (3, 100))
    order = rng.permutation(100)
    for metric in scores.METRICS:
        first = scores.score(metric, predictions, labels, groups=groups)
        arrays = (predictions[order].astype(np.uint8), labels[order].astype(np.int64))
        assert scores.score(metric, *arrays, groups=groups[order].astype(np.int16)) == first
        assert scores.score(metric, list(predictions), list(labels), groups=list(groups)) == first
        assert 0 <= first <= 1


def test_unsigned_labels_do_not_wrap():
    labels = np.array([0, 255, 255], np.uint8)
    predictions = np.array([0, 255, 3], np.int64)
    assert scores.score("macro_f1", predictions, labels) == pytest.approx((1 + 2 / 3) / 2)


def test_metrics_are_those_of_tasks():
    assert scores.METRICS == task.METRICS


def test_unknown_metric():
    with pytest.raises(UserError, match="unknown metric 'macro_f'; did you mean 'macro_f1'"):
        scores.score("macro_f", np.zeros(3, int), np.zeros(3, int))


@pytest.mark.parametrize("metric", scores.METRICS)
def test_bad_input(metric):
    zeros = np.zeros(3, int)
    for arguments, match in (
        ((zeros[:2], zeros), "as many of each: 2 predictions, 3 labels"),
        ((zeros[:0], zeros[:0]), "without examples has no score"),
        (([], []), "without examples has no score"),
        ((np.zeros((3, 2), int), zeros), r"predictions must be a vector.*\(3, 2\)"),
        ((zeros, np.int64(3)), r"labels must be a vector"),
        ((zeros.astype(float), zeros), "predictions must be integers.*float64"),
        ((zeros, zeros.astype(bool)), "labels must be integers.*bool"),
    ):
        with pytest.raises(UserError, match=match):
            scores.score(metric, *arguments, groups=np.zeros(len(np.atleast_1d(arguments[1])), int))


def test_bad_groups():
    zeros = np.zeros(3, int)

    def worst(groups, group_names=()):
        return scores.score(
            "worst_group_accuracy", zeros, zeros, groups=groups, group_names=group_names
        )

    with pytest.raises(UserError, match="needs the group of every example"):
        worst(None)
    with pytest.raises(UserError, match="3 predictions, 3 labels, 2 groups"):
        worst(zeros[:2])
    with pytest.raises(UserError, match="groups must be integers"):
        worst(zeros + 0.5)
    with pytest.raises(UserError, match="in group 6, but there are only 6 names of groups: Asia"):
        worst(np.array([0, 6, 1]), REGIONS)
    with pytest.raises(UserError, match="in group -1"):
        worst(np.array([0, -1, 1]), REGIONS)
    with pytest.raises(UserError, match="no group to look at: all examples are in 'Other'"):
        worst(np.array([5, 5, 5]), REGIONS)
