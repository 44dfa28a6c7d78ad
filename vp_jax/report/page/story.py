"""What a run was and what it reached, in sentences and rows, from its `result.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from vp_jax.records.predictions_file import OnTest
from vp_jax.report.significance import McNemar, mcnemar, wilson
from vp_jax.report.wording import before_training


class Row(NamedTuple):
    """A share of right answers with its 95 % interval, all in [0, 1].

    Attributes:
      name: of the model.
      share: of the test images.
      low, high: Wilson's interval.
      kind: `tuned` or `before`, for its colour.
    """

    name: str
    share: float
    low: float
    high: float
    kind: str


def title(result: Mapping[str, Any]) -> str:
    """A few words."""
    return f"{result['task']} with {result['backbone']}"


def sentences(result: Mapping[str, Any]) -> list[str]:
    """What was trained on what, in two sentences."""
    tune, classes = result["tune"], f"{result['classes']:,} classes"
    if not tune:
        what = f"Nothing was trained: {result['backbone']} as it is, with the head "
        return [
            f"{what}“{result['head']}”, on {result['task']} ({classes}).",
            f"It was tested once, on {result['test_examples']:,} images.",
        ]
    named = {
        "prompt": f"a visual prompt, {result.get('prompt')},",
        "head": f"the head “{result['head']}”",
        "backbone": "all weights of the backbone",
    }
    what = " and ".join(named[part] for part in tune)
    frozen = "" if "backbone" in tune else "the frozen model "
    first = (
        f"{what[0].upper()}{what[1:]} was trained for {frozen}{result['backbone']} on "
        f"{result['train_examples']:,} images of {result['task']} ({classes}): "
        f"{result['trainable_parameters']:,} numbers in {result['steps']:,} steps."
    )
    if len(tune) > 1 or tune == ["backbone"]:
        first = first.replace(" was trained for", " were trained for", 1)
    return [first, _tested(result)]


def _tested(result: Mapping[str, Any]) -> str:
    count = f"{result['test_examples']:,}"
    if result.get("selected_on", "val") == "val":
        return (
            f"The best of them on {result['val_examples']:,} validation images, step "
            f"{result['best_step']:,}, was tested once, on {count} images that nothing had seen."
        )
    return (
        f"The best of them on the {count} test images, step {result['best_step']:,}, was chosen "
        "by those, so that the result says too much."
    )


def verdict(result: Mapping[str, Any]) -> list[Row]:
    """The accuracies on test: of the run, and of the model before where that was a classifier."""
    count, tune = result["test_examples"], result["tune"]
    shares = [(result["zero_shot_test_accuracy"], before_name(result), "before")]
    if tune:
        shares.insert(0, (result["test_accuracy"], f"with {' and '.join(tune)}", "tuned"))
    return [
        Row(name, share, *wilson(round(share * count), count), kind)
        for share, name, kind in shares
        if share is not None
    ]


def before_name(result: Mapping[str, Any]) -> str:
    """What the model before training is called."""
    return before_training(result.get("head"), result["tune"])


def metrics(
    result: Mapping[str, Any], start: float | None
) -> list[tuple[str, float | None, float | None]]:
    """What else was measured: a name, the run's, and that of the model before.

    The task's own metric where that is not the accuracy, further test splits, domains, and what
    the best step was chosen by.

    Args:
      result: of the run.
      start: the task's metric before training on the split that is selected on.
    """
    rows: list[tuple[str, float | None, float | None]] = []
    if result["metric"] != "accuracy":
        name = result["metric"].replace("_", " ")
        rows.append((name, result["test_metric"], result["zero_shot_test_metric"]))
    for name, found in result.get("further_tests", {}).items():
        rows.append((f"{name}, {result['metric'].replace('_', ' ')}", found["metric"], None))
    for name, share in result.get("test_accuracy_by_group", {}).items():
        rows.append((f"accuracy on {name}", share, None))
    if result.get("val_metric") is not None:
        name = result["metric"].replace("_", " ")
        rows.append((f"{name} on validation", result["val_metric"], start))
    return rows


def flips(found: OnTest | None) -> McNemar | None:
    """Which test images the run alone has right, and which the model before alone."""
    if found is None or found.before is None:
        return None
    right = found.tuned.predictions == found.labels
    was_right = found.before.predictions == found.labels
    return None if np.array_equal(right, was_right) else mcnemar(right, was_right)
