"""What the page of a run is made of, as it lies in its workdir and in memory."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vp_jax.assembly.reproduction import Reproduction, reproduction
from vp_jax.backbones.weights.fingerprint import fingerprint
from vp_jax.classifier import Classifier
from vp_jax.records import record
from vp_jax.records.checkpoints import meta as checkpoint_meta
from vp_jax.records.metrics import read_metrics
from vp_jax.records.names import CHECKPOINTS
from vp_jax.records.predictions_file import OnTest
from vp_jax.report.looks.choice import Choice
from vp_jax.report.looks.shown import Shown


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Material:
    """All that a page says.

    Attributes:
      workdir: of the run.
      result: its `result.json`.
      rows: of its `metrics.jsonl`.
      reproduction: how it is made again.
      digests: names and values of what tells backbone, data and trained parts from others.
      tested: its predictions on test; None where they are not known.
      choice, shown: test images; None where they could not be read.
      start: accuracy before training on the split that is selected on; None where it is not known.
      picture: of the prompt, as `prompts.to_image` draws it; None without one.
      missing: what is not on the page, a sentence each.
    """

    workdir: pathlib.Path
    result: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    reproduction: Reproduction
    digests: dict[str, str]
    tested: OnTest | None = None
    choice: Choice | None = None
    shown: Shown | None = None
    start: float | None = None
    picture: np.ndarray | None = None
    missing: tuple[str, ...] = ()


def from_folder(
    workdir: pathlib.Path,
    result: Mapping[str, Any],
    classifier: Classifier | None,
    **more: Any,
) -> Material:
    """What lies in a workdir, with what is in memory.

    Args:
      workdir: of a run that is finished, but maybe for its `result.json`.
      result: what that holds.
      classifier: of the run; None where it could not be loaded.
      **more: further attributes.
    """
    picture = None
    if classifier is not None and "prompt" in classifier.parts:
        picture = classifier.picture()
    meta = checkpoint_meta.newest_meta(workdir / CHECKPOINTS) or {}
    return Material(
        workdir=workdir,
        start=meta.get("progress", {}).get("zero_shot"),
        result=result,
        rows=read_metrics(workdir),
        reproduction=reproduction(workdir),
        digests=_digests(workdir, result, classifier),
        picture=picture,
        **more,
    )


def _digests(
    workdir: pathlib.Path, result: Mapping[str, Any], classifier: Classifier | None
) -> dict[str, str]:
    found = {"backbone": str(result.get("backbone_fingerprint", "not kept"))}
    if classifier is not None:
        for part in result["tune"]:
            found[f"trained {part}"] = fingerprint(part, classifier.parts[part]).partition(":")[2]
    kept = record.read(workdir)
    for split, digests in ((kept and kept.data) or {}).items():
        for kind, text in (("content", "images"), ("files", "names and sizes of files")):
            if digests.get(kind):
                found[f"{split}: {text}"] = f"blake2b:{digests[kind]}"
    return found
