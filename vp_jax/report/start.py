"""The end of a start that was learned on several tasks."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from vp_jax import distributed
from vp_jax.records.metrics import read_metrics
from vp_jax.report.finish import write_predictor
from vp_jax.report.pictures.run_pictures import draw_prompt
from vp_jax.report.result import Result
from vp_jax.report.table import table
from vp_jax.restored import of_experiment
from vp_jax.training.experiment import Experiment
from vp_jax.training.reptile import Rounds
from vp_jax.training.start import Outcome


def finish_start(
    tasks: Mapping[str, Experiment], rounds: Rounds, outcome: Outcome, workdir: pathlib.Path
) -> Result:
    """Writes all files of a start but `result.json`, and returns what that is to hold."""
    first, *_ = tasks.values()
    write_predictor(first, outcome, workdir)
    if distributed.is_main():
        draw_prompt(of_experiment(first, {**outcome.frozen, **outcome.best}), workdir)
    rows = read_metrics(workdir)
    return {
        "tasks": [
            {
                "task": name,
                "first_loss": rows[0][f"train/loss/{name}"],
                "last_loss": rows[-1][f"train/loss/{name}"],
            }
            for name in tasks
        ],
        "prompt": str(first.prompt),
        "backbone": first.backbone.name,
        **dataclasses.asdict(rounds),
        "wall_seconds": outcome.progress.wall_seconds,
    }


def start_summary(result: Mapping[str, Any], workdir: str | os.PathLike[str]) -> str:
    """What a start has come to, as lines of text."""
    headers = ("task", f"loss after {result['steps']} steps, first round", "last round")
    rows = [(t["task"], t["first_loss"], t["last_loss"]) for t in result["tasks"]]
    return "\n".join(
        [
            f"{result['prompt']} with {result['backbone']}, {result['rounds']:,} rounds, "
            f"{result['wall_seconds']:,.0f} s",
            table(rows, headers),
            f"begin a run with it: --config.start.from_run={os.fspath(workdir)}",
        ]
    )
