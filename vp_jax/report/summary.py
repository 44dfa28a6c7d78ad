"""The tables that end a training and an evaluation on the terminal."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from typing import Any

from vp_jax.report.table import table
from vp_jax.report.wording import before_training

FILES = ("report.html", "prompt.png", "curves.png", "examples.png", "mapping.csv")  # to look at


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _tp(result: Mapping[str, Any]) -> str:
    """The paper's name, text prompt, for what it stands for."""
    return " (TP)" if before_training(result.get("head"), result["tune"]) == "zero-shot" else ""


def _before(result: Mapping[str, Any], what: str = "") -> str:
    """The name of the model before training, with what was measured of it; TP is the paper's."""
    name = before_training(result.get("head"), result["tune"])
    if name == "without prompt":
        return f"{what} {name}".strip()
    return f"{name} {what}".strip()


def _gain(result: Mapping[str, Any]) -> str:
    if result["zero_shot_test_accuracy"] is None:
        return "-"
    points = 100 * (result["test_accuracy"] - result["zero_shot_test_accuracy"])
    return f"{points:+.1f} points"


def _metric_rows(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The task's own metric, where that is not the accuracy, on all test splits."""
    metric, further = result["metric"], result.get("further_tests", {})
    words, rows = metric.replace("_", " "), []
    if metric != "accuracy":
        name = _before(result, f"test {words}")
        rows.append((name, _percent(result["zero_shot_test_metric"])))
        if result["tune"]:
            rows.append((f"test {words}", _percent(result["test_metric"])))
    rows += [(f"{name} {words}", _percent(found["metric"])) for name, found in further.items()]
    return rows


def _calibration_rows(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    if "temperature" not in result:
        return []
    before, after = (result[f"test_calibration_error{x}"] for x in ("_before", ""))
    return [
        ("temperature", f"{result['temperature']:.3g}"),
        ("test calibration error without it, with it", f"{_percent(before)}, {_percent(after)}"),
    ]


def training_summary(result: Mapping[str, Any], workdir: str | os.PathLike[str]) -> str:
    """What a finished run reached, from its `result.json`, as lines of text."""
    before = result["zero_shot_test_accuracy"]
    rows = [
        ("task", f"{result['task']}, {result['classes']} classes"),
        ("backbone", result["backbone"]),
        *([("prompt", result["prompt"])] if result.get("prompt") else []),
        ("head", result["head"]),
        (_before(result, "test accuracy") + _tp(result), _percent(before)),
    ]
    if result["tune"]:
        rows += [
            (
                f"test accuracy with {' and '.join(result['tune'])}",
                _percent(result["test_accuracy"]),
            ),
            ("gain", _gain(result)),
            *_metric_rows(result),
            *_calibration_rows(result),
            ("validation accuracy", _percent(result["val_accuracy"])),
            ("best step, of steps", f"{result['best_step']:,} of {result['steps']:,}"),
            ("trained parameters", f"{result['trainable_parameters']:,}"),
            ("checkpoint", f"{result['checkpoint_bytes'] / 1e3:,.0f} kB"),
            ("training speed", f"{result['images_per_second']:,.0f} images/s"),
        ]
    else:
        rows += [*_metric_rows(result), *_calibration_rows(result)]
    rows.append(("wall time", f"{result['wall_seconds']:,.0f} s"))
    lines = [table(rows, ("", "result"))]
    there = [name for name in FILES if (pathlib.Path(workdir) / name).exists()]
    names = f"{', '.join(there)} and result.json" if there else "result.json"
    lines.append(f"{names}: {workdir}")
    return "\n".join(lines)


def sweep_summary(result: Mapping[str, Any], workdir: str | os.PathLike[str]) -> str:
    """What runs that were trained at once reached, from the sweep's `result.json`, a row each."""
    names = list(dict.fromkeys(name for m in result["members"] for name in m["settings"]))
    rows = []
    for number, member in enumerate(result["members"]):
        settings = [member["settings"].get(name) for name in names]
        if "failed_step" in member:
            reached = [f"loss not finite at step {member['failed_step']:,}", *[None] * 3]
        else:
            selected = member["val_metric"]
            reached = [
                f"{member['best_step']:,} of {member['steps']:,}",
                _percent(selected),
                _percent(member["test_metric"]),
                _percent(member["zero_shot_test_metric"]),
            ]
        best = "best" if number == result["best_member"] else ""
        rows.append((member["folder"], *settings, *reached, best))
    ensemble = result["ensemble"]
    if ensemble["members"] > 1:
        empty = [None] * len(names)
        test = _percent(ensemble["test_metric"])
        rows.append((f"all {ensemble['members']} together", *empty, None, None, test, None, ""))
    head = next((m["head"] for m in result["members"] if "head" in m), None)
    before = before_training(head, ("prompt",))
    headers = ("run", *names, "best step", "validation", "test", before, "")
    return "\n".join(
        [
            table(rows, headers),
            f"{result['images_per_second']:,.0f} images/s, {result['wall_seconds']:,.0f} s",
            f"sweep.png, result.json and a folder for each run: {workdir}",
        ]
    )


def evaluation_summary(result: Mapping[str, Any]) -> str:
    """Test accuracies of a run, as lines of text."""
    rows = [(_before(result) + _tp(result), _percent(result["zero_shot_test_accuracy"]), "")]
    if result["tune"]:
        name = "visual prompt (VP)"
        if result["tune"] != ["prompt"]:
            name = f"tuned: {' and '.join(result['tune'])}"
        rows.append((name, _percent(result["test_accuracy"]), _gain(result)))
    prompt = f" and {result['prompt']}" if result.get("prompt") else ""
    head = (
        f"{result['task']} with {result['backbone']}{prompt}: "
        f"{result['test_examples']:,} test examples"
        + (f", best step {result['step']:,} of {result['steps']:,}" if result["tune"] else "")
    )
    return "\n".join([head, *_other_data(result), table(rows, ("", "test accuracy", "gain"))])


def _other_data(result: Mapping[str, Any]) -> list[str]:
    """A line that says so where a run was evaluated on other examples than its own, or on some that
    it has trained on."""
    same, count = result.get("same_data"), result.get("test_examples_trained_on")
    if same is not False and not count:
        return []
    whose = "the run's" if same else "not the run's own"
    seen = "an unknown number" if count is None else f"{count:,}" if count else "none"
    return [f"{whose} test examples; it has trained on {seen} of these"]
