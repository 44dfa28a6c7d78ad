"""The card of a trained prompt or head: what it is, what it can, how to use it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

import numpy as np

from vp_jax.records.bundle_file import Bundle
from vp_jax.report.wording import before_training

LICENSES = (
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "gpl-3.0", "lgpl-3.0", "agpl-3.0"),
    *("cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "unlicense"),
)
"""Those that the Hub knows by a name of its own, and that are common."""
PROMPT, EXAMPLES = "prompt.png", "examples.png"
UNNAMED = "OWNER/NAME"
MOST_NAMES = 200
"""Class names that are listed."""


def model_card(bundle: Bundle, repository: str = "", pictures: Collection[str] = ()) -> str:
    """The text of `README.md`, Markdown with the Hub's metadata before it.

    Args:
      bundle: what is described.
      repository: `owner/name` that it is for; empty: not known yet.
      pictures: which of `PROMPT` and `EXAMPLES` lie beside it.
    """
    task, backbone = bundle.training["task"], bundle.backbone
    parts = {name.split(".")[0] for name in bundle.arrays}
    what = "a visual prompt" if "prompt" in parts else f"a {bundle.head['name']} head"
    sections = [
        _metadata(bundle),
        f"# {_plain(task)}: {what} for {_plain(backbone['name'])}",
        _summary(bundle, parts),
        *(
            f"![{text}]({name})"
            for name, text in (
                (PROMPT, "The prompt; grey is where it changes nothing"),
                (EXAMPLES, "Test images without and with the prompt"),
            )
            if name in pictures
        ),
        "## Numbers",
        _numbers(bundle),
        "## How to use it",
        _use(bundle, repository or UNNAMED),
        f"## Classes\n\n{_classes(bundle.class_names)}",
        f"## Licence\n\n{_license(bundle)}",
    ]
    return "\n\n".join(sections) + "\n"


def _metadata(bundle: Bundle) -> str:
    about: dict[str, Any] = {
        "library_name": "vp_jax",
        "pipeline_tag": "image-classification",
        "tags": ["visual-prompt", "jax", bundle.training["task"]],
    }
    known = bundle.license.lower()
    if known in LICENSES:
        about["license"] = known
    elif bundle.license:
        about |= {"license": "other", "license_name": bundle.license}
    where = re.fullmatch(r"(\S+/\S+) on the Hugging Face Hub", bundle.backbone.get("where", ""))
    if where:
        about["base_model"] = where[1]
    lines = [f"{name}: {json.dumps(value)}" for name, value in about.items()]  # JSON is YAML too
    return "\n".join(["---", *lines, "---"])


def _summary(bundle: Bundle, parts: Collection[str]) -> str:
    backbone, count = bundle.backbone, sum(np.size(x) for x in bundle.arrays.values())
    frozen = "trained too, and in this file" if "backbone" in parts else "frozen, and not in here"
    return (
        f"Prompt `{bundle.prompt}`, head `{bundle.head['name']}`: {count:,} numbers in "
        f"`bundle.safetensors`. The model is {frozen}: {_plain(backbone['name'])}, "
        f"{_plain(backbone.get('where', 'as its name says'))}, fingerprint "
        f"`{backbone['fingerprint']}`. Other weights are refused."
    )


def _numbers(bundle: Bundle) -> str:
    metrics, training = bundle.metrics, bundle.training
    rows = [("task", f"{_plain(training['task'])}, {len(bundle.class_names)} classes")]
    rows.append(("trained", _plain(", ".join(training["tune"])) or "nothing"))
    if "test_examples" in metrics:
        rows.append(("test images", f"{metrics['test_examples']:,}"))
    before = before_training(bundle.head["name"], training["tune"])
    names = {"zero_shot_test_accuracy": f"test accuracy {before}", "test_accuracy": "test accuracy"}
    rows += [
        (words, f"{100 * metrics[name]:.1f} %")
        for name, words in names.items()
        if metrics.get(name) is not None
    ]
    metric = metrics.get("metric", "accuracy")
    if metric != "accuracy" and metrics.get("test_metric") is not None:
        rows.append((f"test {metric.replace('_', ' ')}", f"{100 * metrics['test_metric']:.1f} %"))
    if not any("test" in name for name, _ in rows):
        rows.append(("test accuracy", "not measured"))
    if bundle.temperature != 1:
        rows.append(("temperature", f"{bundle.temperature:.3g}"))
    rows.append(("seed", str(training["seed"])))
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _use(bundle: Bundle, repository: str) -> str:
    given, own = "", bundle.backbone
    if own.get("file"):
        given = f', weights="{own["file"]}"'
    elif "maker has in Python" in own.get("where", ""):
        given = ", backbone=backbone"
    return (
        "```python\nimport vp_jax\n\n"
        f'classifier = vp_jax.load("{repository}"{given})\n'
        'print(classifier.predict("image.png"))\n```'
    )


def _classes(names: Collection[str]) -> str:
    listed = [_plain(name) for name in names][:MOST_NAMES]
    more = len(names) - len(listed)
    return ", ".join(listed) + (f", and {more:,} more" if more else "")


def _license(bundle: Bundle) -> str:
    of_model = "The frozen model and the data have licences of their own."
    if not bundle.license:
        return f"None was stated: ask whoever made this before you use it. {of_model}"
    return f"{_plain(bundle.license)}. {of_model}"


def _plain(text: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_\[\]<>|#~$])", r"\\\1", " ".join(str(text).split()))
