"""What the cells of a grid came to as one CSV file: for spreadsheets, and for the next machine."""

from __future__ import annotations

import ast
import csv
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.grids.trial import Row, Trial
from vp_jax.errors import UserError

Rows = Mapping[tuple[str, str], Row]
"""By column and row of the table."""

FIELDS = (
    *("column", "row", "choice", "shown", "seed", "val", "test", "zero_shot"),
    *("parameters", "images/s", "curve"),
)


def to_csv(trials: Sequence[Trial], rows: Rows) -> str:
    """A line a run that counts, and one a choice that was tried and is not shown.

    A run's curve is its accuracies on val by step: `0:0.5 73:0.75`.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n", restval="")
    writer.writeheader()
    for trial in trials:
        row = rows.get((trial.column, trial.row))
        if row is None:
            continue
        place = {"column": trial.column, "row": trial.row}
        shared = {
            "choice": dict(row.choice),
            "shown": "yes",
            "zero_shot": "" if row.zero_shot is None else row.zero_shot,
            "parameters": row.parameters,
            "images/s": "" if row.images_per_second is None else f"{row.images_per_second:.1f}",
        }
        for seed, val, test, curve in zip(row.seeds, row.val, row.test, row.curves, strict=True):
            own = {"seed": seed, "val": val, "test": test, "curve": _written(curve)}
            writer.writerow({**place, **shared, **own})
        for choice, val in row.tried:
            if choice != row.choice:
                writer.writerow({**place, "choice": dict(choice), "shown": "no", "val": val})
    return out.getvalue()


def read_csv(path: pathlib.Path) -> dict[tuple[str, str], Row]:
    """The rows of such a file.

    Raises:
      UserError: it is none.
    """
    by_place: dict[tuple[str, str], list[dict[str, str]]] = {}
    try:
        with path.open(newline="") as file:
            for line in csv.DictReader(file):
                by_place.setdefault((line["column"], line["row"]), []).append(line)
        return {place: _row(lines) for place, lines in by_place.items()}
    except (OSError, KeyError, ValueError, SyntaxError, IndexError) as error:
        raise UserError(f"{path} is no table.csv of a grid: {error!r}") from error


def whole(trials: Sequence[Trial], rows: Rows) -> dict[tuple[str, str], Row]:
    """Of some rows those that are trials' with all their seeds and choices."""
    found = {}
    for trial in trials:
        row = rows.get((trial.column, trial.row))
        if row is None or row.seeds != list(trial.seeds):
            continue
        if len(row.tried) == len(trial.choices) and all(c in trial.choices for c, _ in row.tried):
            found[trial.column, trial.row] = row
    return found


def _row(lines: Sequence[dict[str, str]]) -> Row:
    shown = [line for line in lines if line["shown"] == "yes"]
    first, choice = shown[0], _choice(shown[0])
    tried = [(_choice(x), float(x["val"])) for x in lines if x["shown"] != "yes"]
    return Row(
        choice=choice,
        seeds=[int(x["seed"]) for x in shown],
        val=[float(x["val"]) for x in shown],
        test=[float(x["test"]) for x in shown],
        zero_shot=float(first["zero_shot"]) if first["zero_shot"] else None,
        parameters=int(first["parameters"]),
        images_per_second=float(first["images/s"]) if first["images/s"] else None,
        tried=[(choice, float(first["val"])), *tried],
        failed=[],
        curves=[_read(x["curve"]) for x in shown],
    )


def _choice(line: Mapping[str, str]) -> dict[str, Any]:
    return dict(ast.literal_eval(line["choice"]))


def _written(curve: Mapping[int, float]) -> str:
    return " ".join(f"{step}:{value:.6g}" for step, value in curve.items())


def _read(text: str) -> dict[int, float]:
    pairs = (part.split(":") for part in text.split())
    return {int(step): float(value) for step, value in pairs}
