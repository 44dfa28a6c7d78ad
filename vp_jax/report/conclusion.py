"""What loggers and TensorBoard are told of a finished run, from its result and its pictures."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from vp_jax.assembly.settings import hyper_parameters
from vp_jax.records.loggers.base import Conclusion
from vp_jax.records.loggers.following import Followers, conclude
from vp_jax.records.metrics import read_metrics
from vp_jax.report.pictures.run_pictures import EXAMPLES, PROMPT

SCORES = {"val": "val_metric", "test": "test_metric", "zero_shot_test": "zero_shot_test_metric"}
"""The metrics of a result, by their names behind `final/`."""


def conclude_run(workdir: pathlib.Path, result: Mapping[str, Any], followers: Followers) -> None:
    """Hands on what a run came to, with the pictures that are in its folder.

    Raises:
      OSError: there is no space for TensorBoard's files.
    """
    scores = {f"final/{name}": result.get(key) for name, key in SCORES.items()}
    pictures = {path.stem: path for path in (workdir / PROMPT, workdir / EXAMPLES) if path.exists()}
    end = Conclusion(
        result.get("steps", 0),
        len(read_metrics(workdir)),
        hyper_parameters(workdir),
        {name: float(value) for name, value in scores.items() if value is not None},
        pictures,
    )
    conclude(workdir, followers, end)
