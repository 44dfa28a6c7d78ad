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
from vp_jax.assembly.parts.head import is_probe
from vp_jax.assembly.several.members import VARIED
from vp_jax.errors import UserError
from vp_jax.records import workdir as workdir_lib
from vp_jax.records.metrics import read_metrics

Settings = Mapping[str, Any]
SEED = "seed"
CHOICES = "choices"
SEEDS = "seeds"
VAL = "val/accuracy"


@dataclasses.dataclass(frozen=True)
class Trial:
    """The runs of one cell.

    Attributes:
      column: of the table: a task with its model.
      row: of the table: a method.
      settings: that all runs share, by their names with dots; the others are the defaults.
      choices: what is tried with the first seed, and chosen among on val; `[{}]` for nothing.
      seeds: that the chosen one is run with.
      images: that a run trains on, repeated ones counted again.
      passes: times the backbone sees a training image forward and backward; 1 for a prompt.
      head_of: the row of the same column, of one choice and the same seeds, whose trained head each
        run begins with; empty for none. It stands before this one.
    """

    column: str
    row: str
    settings: Settings
    choices: Sequence[Settings]
    seeds: Sequence[int]
    images: int
    passes: float = 1.0
    head_of: str = ""

    @property
    def key(self) -> str:
        """Its folder below the workdir."""
        return f"{_slug(self.column)}/{_slug(self.row)}"

    @property
    def runs(self) -> int:
        """How many there are in all."""
        return len(self.choices) + len(self.seeds) - 1

    @property
    def trains(self) -> str:
        """The parts that train, as `prompt + head`; empty where none does."""
        return " + ".join(self.config().tune)

    @property
    def tried(self) -> list[dict[str, Any]]:
        """What each run of the choices has of its own."""
        return [{**choice, SEED: self.seeds[0]} for choice in self.choices]

    def repeated(self, choice: Settings) -> list[dict[str, Any]]:
        """What each run of a choice has of its own, but for the first seed."""
        return [{**choice, SEED: seed} for seed in self.seeds[1:]]

    def config(
        self,
        member: Settings = {},  # noqa: B006 # never changed
        folder: pathlib.Path = pathlib.Path(),  # noqa: B008
    ) -> ConfigDict:
        """All settings of a run in the folder of the cell, or those that all share."""
        config = base.default()
        config.update_from_flattened_dict({**self.settings, **member})
        if self.head_of:
            number = self.seeds.index(config.seed) if member else 0
            place = f"{SEEDS}/{number - 1}" if number else f"{CHOICES}/0"
            config.head.from_run = str(folder.parent / _slug(self.head_of) / place)
        return config


@dataclasses.dataclass(frozen=True)
class Row:
    """What a cell came to, at the choice that is best on val.

    Attributes:
      choice: which that is.
      seeds: it has results with.
      val, test: accuracies with each of them.
      zero_shot: the accuracy on test of the model as it begins; None where it has none.
      parameters: that train.
      images_per_second: of the train loop, all runs that share a program together, the median;
        None where nothing trained by steps.
      tried: all choices with their accuracies on val, with the first seed.
      failed: members without a result, each with the reason.
      curves: the accuracies on val by step, with each of the seeds.
    """

    choice: Settings
    seeds: list[int]
    val: list[float]
    test: list[float]
    zero_shot: float | None
    parameters: int
    images_per_second: float | None
    tried: list[tuple[Settings, float]]
    failed: list[str]
    curves: list[dict[int, float]] = dataclasses.field(default_factory=list)


def run(trial: Trial, folder: pathlib.Path) -> None:
    """Makes all runs of a cell that are not finished: in one program where that is possible.

    Those of the choices are in `folder/choices`, those of the further seeds in `folder/seeds`.

    Raises:
      UserError: of the first runs that fail; the others of their folder were made.
    """
    _make(trial, trial.tried, folder / CHOICES)
    results = _results(folder / CHOICES, len(trial.choices))
    if not results:
        raise UserError(f"none of the choices came to a result: {folder / CHOICES}")
    _make(trial, trial.repeated(trial.choices[_best(results)]), folder / SEEDS)


def _make(trial: Trial, members: Sequence[Settings], folder: pathlib.Path) -> None:
    if can_share(trial, members):
        many.train_many(trial.config(), members, folder)
        return
    failures = []
    for number, member in enumerate(members):
        try:
            runs.train(trial.config(member, folder.parent), folder / str(number))
        except UserError as error:
            failures.append(f"{dict(member)}: {error}")
    if failures:
        raise UserError("; ".join(failures))


def can_share(trial: Trial, members: Sequence[Settings]) -> bool:
    """Whether some of its runs may be trained in one program."""
    config = trial.config()
    by_steps = config.tune and "backbone" not in config.tune and not is_probe(config)
    varied = all(name in VARIED for member in members for name in member)
    return len(members) > 1 and bool(by_steps) and varied and not trial.head_of


def finished(trial: Trial, folder: pathlib.Path) -> int:
    """How many of the runs of a cell have a result."""
    tried = _results(folder / CHOICES, len(trial.choices))
    return len(tried) + len(_results(folder / SEEDS, len(trial.seeds) - 1))


def best_run(trial: Trial, folder: pathlib.Path) -> pathlib.Path | None:
    """The workdir of the run that is best on val, with the first seed; None where none is."""
    tried = _results(folder / CHOICES, len(trial.choices))
    return folder / CHOICES / str(_best(tried)) if tried else None


def read(trial: Trial, folder: pathlib.Path) -> Row | None:
    """What is finished of a cell; None where no run is."""
    tried = _results(folder / CHOICES, len(trial.choices))
    if not tried:
        return None
    best = _best(tried)
    chosen = trial.choices[best]
    further = _results(folder / SEEDS, len(trial.seeds) - 1)
    failed = [str(own) for number, own in enumerate(trial.tried) if number not in tried]
    failed += [str(o) for number, o in enumerate(trial.repeated(chosen)) if number not in further]
    results = [tried[best], *further.values()]
    places = [folder / CHOICES / str(best), *(folder / SEEDS / str(n) for n in further)]
    loops = [workdir_lib.read_result(p.parent) or r for p, r in zip(places, results, strict=True)]
    speeds = [speed for loop in loops if (speed := loop["images_per_second"])]
    return Row(
        choice=chosen,
        seeds=[trial.seeds[0], *(trial.seeds[1 + number] for number in further)],
        val=[r["val_accuracy"] for r in results],
        test=[r["test_accuracy"] for r in results],
        zero_shot=results[0].get("zero_shot_test_accuracy"),
        parameters=results[0]["trainable_parameters"],
        images_per_second=statistics.median(speeds) if speeds else None,
        tried=[(trial.choices[number], r["val_accuracy"] or 0.0) for number, r in tried.items()],
        failed=[f"{own}: no result" for own in failed],
        curves=[_curve(place) for place in places],
    )


def _results(folder: pathlib.Path, count: int) -> dict[int, dict[str, Any]]:
    """Of the runs in a folder, those that are finished, by their numbers."""
    found = {n: workdir_lib.read_result(folder / str(n)) for n in range(count)}
    return {number: result for number, result in found.items() if result is not None}


def _curve(run: pathlib.Path) -> dict[int, float]:
    """The accuracies of a run on val, by step."""
    found = read_metrics(run)
    return {int(row["step"]): row[VAL] for row in found if VAL in row}


def _best(tried: Mapping[int, Mapping[str, Any]]) -> int:
    return max(tried, key=lambda number: tried[number]["val_accuracy"] or 0.0)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", text).strip("_")
