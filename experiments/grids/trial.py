"""A cell of a table: runs that differ in their seeds and in what is chosen on val."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from vp_jax import config as base
from vp_jax import many, runs
from vp_jax.assembly.head import is_probe
from vp_jax.assembly.members import VARIED
from vp_jax.errors import UserError
from vp_jax.records import workdir as workdir_lib

Settings = Mapping[str, Any]
SEED = "seed"


@dataclasses.dataclass(frozen=True)
class Trial:
    """The runs of one cell.

    Attributes:
      column: of the table: a task with its model.
      row: of the table: a method.
      settings: that all runs share, by their names with dots; the others are the defaults.
      choices: what is tried, each with every seed, and chosen among on val; `[{}]` for nothing.
      seeds: of the runs.
      images: that a run trains on, repeated ones counted again.
      passes: times the backbone sees a training image forward and backward; 1 for a prompt.
    """

    column: str
    row: str
    settings: Settings
    choices: Sequence[Settings]
    seeds: Sequence[int]
    images: int
    passes: float = 1.0

    @property
    def key(self) -> str:
        """Its folder below the workdir."""
        return f"{_slug(self.column)}/{_slug(self.row)}"

    @property
    def members(self) -> list[dict[str, Any]]:
        """What each run has of its own."""
        return [{**choice, SEED: seed} for choice in self.choices for seed in self.seeds]

    def config(self, member: Settings = {}) -> ConfigDict:  # noqa: B006 # never changed
        """All settings of a run, or those that all share."""
        config = base.default()
        config.update_from_flattened_dict({**self.settings, **member})
        return config


@dataclasses.dataclass(frozen=True)
class Row:
    """What a cell came to, at the choice that is best on val.

    Attributes:
      choice: which that is.
      val, test: accuracies by seed.
      parameters: that train.
      images_per_second: of the train loop, the median; None where nothing trained by steps.
      tried: all choices with their mean accuracies on val.
      failed: members without a result, each with the reason.
    """

    choice: Settings
    val: list[float]
    test: list[float]
    parameters: int
    images_per_second: float | None
    tried: list[tuple[Settings, float]]
    failed: list[str]


def run(trial: Trial, folder: pathlib.Path) -> None:
    """Makes all runs of a cell that are not finished: in one program where that is possible.

    Raises:
      UserError: of the first run that fails; the others were made.
    """
    members = trial.members
    if can_share(trial):
        many.train_many(trial.config(), members, folder)
        return
    failures = []
    for number, member in enumerate(members):
        try:
            runs.train(trial.config(member), folder / str(number))
        except UserError as error:
            failures.append(f"{member}: {error}")
    if failures:
        raise UserError("; ".join(failures))


def can_share(trial: Trial) -> bool:
    """Whether its runs may be trained in one program."""
    config = trial.config()
    by_steps = config.tune and "backbone" not in config.tune and not is_probe(config)
    varied = all(name in VARIED for member in trial.members for name in member)
    return len(trial.members) > 1 and bool(by_steps) and varied


def read(trial: Trial, folder: pathlib.Path) -> Row | None:
    """What is finished of a cell; None where no run is."""
    found: dict[int, list[dict[str, Any]]] = {}
    failed = []
    for number, member in enumerate(trial.members):
        result = workdir_lib.read_result(folder / str(number))
        if result is None:
            failed.append(f"{member}: no result")
        else:
            found.setdefault(number // len(trial.seeds), []).append(result)
    if not found:
        return None
    means = {n: statistics.mean(r["val_accuracy"] or 0.0 for r in rs) for n, rs in found.items()}
    chosen = max(means, key=lambda n: (len(found[n]), means[n]))
    results = found[chosen]
    speeds = [r["images_per_second"] for r in results if r["images_per_second"]]
    return Row(
        choice=trial.choices[chosen],
        val=[r["val_accuracy"] for r in results],
        test=[r["test_accuracy"] for r in results],
        parameters=results[0]["trainable_parameters"],
        images_per_second=statistics.median(speeds) if speeds else None,
        tried=[(trial.choices[n], means[n]) for n in sorted(means)],
        failed=failed,
    )


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", text).strip("_")
