"""Makes a table of runs: every cell that is not there yet, then the table.

    python -m experiments.run methods --workdir=runs/methods --plan
    python -m experiments.run methods --workdir=runs/methods --workers=2
    python -m experiments.run methods --workdir=runs/methods --only=digits --seeds=0

Names: the modules of `experiments.grids` that have trials, such as methods and mappings. A cell is
a method on a task: all that is chosen among on the validation split, with the first seed, then what
was chosen with the others. Its runs are ordinary runs in ordinary workdirs below --workdir, trained
in one program where that is possible. The same command goes on after any interruption; what is
finished is not repeated, and what failed is told at the end and stops nothing. At the end stand
`table.md`, `table.csv`, `plot.png` and `report.html` in --workdir, of all that is finished by then.

--plan only says what there is to do, and how long it will take. --known=FILE takes a `table.csv` of
another machine: cells that are whole in it are not made again, and stand in the new table too.
"""

from __future__ import annotations

import pathlib
import signal
import sys
import time
from collections.abc import Sequence

import jax
import numpy as np
from absl import app, flags, logging

import vp_jax
from experiments import grids
from experiments.grids import dots, measured, report, runner
from experiments.grids import trial as trial_lib
from experiments.grids.trial import Trial
from vp_jax.backbones.flops import model_flops
from vp_jax.errors import UserError
from vp_jax.host import files, user_cache
from vp_jax.host.compilation_cache import keep_compiled_programs
from vp_jax.host.memory import keep_freed_memory
from vp_jax.report import table

SHARE = 0.4  # of the peak of matrix products, that training reaches; only for the plan
SIDE = 1536  # of the matrices that measure it


def plan(trials: Sequence[Trial], workdir: pathlib.Path) -> str:
    """What is to do: runs, operations and hours of every cell, finished ones without hours."""
    speed = SHARE * _peak()
    rows, total = [], 0.0
    for trial in trials:
        runs = trial.runs
        flops = runs * trial.images * trial.passes * model_flops(trial.config().backbone.name).step
        missing = runs - trial_lib.finished(trial, workdir / trial.key)
        hours = missing / runs * flops / speed / 3600
        total += hours
        rows.append((trial.column, trial.row, runs, missing, f"{flops:.2e}", f"{hours:.2f}"))
    rows.append(("all", "", sum(r[2] for r in rows), sum(r[3] for r in rows), "", f"{total:.1f}"))
    return table(rows, ("task", "method", "runs", "to do", "FLOP", "hours"))


def _peak() -> float:
    """Operations a second of a matrix product in float32 on the first device."""
    ones = jax.numpy.asarray(np.ones((SIDE, SIDE), np.float32))
    product = jax.jit(lambda x: x @ x)
    product(ones).block_until_ready()
    start, count = time.perf_counter(), 0
    while (taken := time.perf_counter() - start) < 0.5:
        product(ones).block_until_ready()
        count += 1
    return 2 * SIDE**3 * count / taken


def main(argv: Sequence[str]) -> None:
    """Plans, or makes what is missing, and writes the table."""
    values = flags.FLAGS
    if len(argv) != 2 or argv[1] not in grids.names():
        raise app.UsageError(f"give the name of one grid: {', '.join(grids.names())}")
    if not values.workdir:
        raise app.UsageError("--workdir is needed: the folder of all runs")
    name, workdir = argv[1], files.expanded(values.workdir)
    keep_freed_memory()
    keep_compiled_programs(user_cache.find("programs"))
    logging.set_verbosity(logging.WARNING)
    try:
        seeds = tuple(int(seed) for seed in values.seeds)
        grid = grids.load(name)
        every = grid.trials(seeds)
        if values.trial:
            (own,) = [trial for trial in every if trial.key == values.trial]
            trial_lib.run(own, workdir / own.key)
            return
        only = values.only or [""]
        names = {t.key: f"{t.key} {t.column}/{t.row}".lower() for t in every}
        trials = [t for t in every if any(part.lower() in names[t.key] for part in only)]
        if not trials:
            raise UserError(
                f"--only={','.join(only)} names none of {', '.join(t.key for t in every)}"
            )
        there = measured.read_csv(files.expanded(values.known)) if values.known else {}
        known = measured.whole(every, there)
        trials = [t for t in trials if (t.column, t.row) not in known]
        if values.plan:
            print(plan(trials, workdir))
            return

        def command(trial: Trial) -> list[str]:
            more = [f"--workdir={workdir}", f"--seeds={','.join(values.seeds)}"]
            return ["-m", "experiments.run", name, *more, f"--trial={trial.key}"]

        signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops the cells first
        missing = [t for t in trials if trial_lib.finished(t, workdir / t.key) < t.runs]
        failures = runner.run_all(missing, workdir, values.workers, command)
        found = {(t.column, t.row): trial_lib.read(t, workdir / t.key) for t in every}
        rows = {place: row for place, row in found.items() if row is not None} | known
        about = (
            f"`python -m experiments.run {name} --seeds={','.join(values.seeds)}`; vp_jax"
            f" {vp_jax.__version__}, jax {jax.__version__}, {jax.devices()[0].device_kind}"
        )
        written = report.write(workdir, every, rows, grid.BASE, about)
        if rows:
            written.append(getattr(grid, "draw", dots.draw)(workdir, every, rows, grid.BASE))
        print(table(*reversed(report.cells(every, rows, grid.BASE))))
        print("written:", ", ".join(map(str, written)))
        for failure in failures:
            print(f"failed: {failure.key}: {failure.reason} ({failure.log})")
    except UserError as error:
        raise app.UsageError(str(error)) from error
    except KeyboardInterrupt:  # the cells have saved what they had
        print(f"stopped; the same command goes on in {workdir}", file=sys.stderr)
        raise SystemExit(130) from None
    if failures:
        raise SystemExit(1)


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "folder of all runs and of the table")
    flags.DEFINE_list("seeds", ["0", "1", "2"], "of every method")
    flags.DEFINE_list("only", None, "parts of the names of cells, as in digits/padding")
    flags.DEFINE_integer("workers", 1, "cells beside each other", lower_bound=1)
    flags.DEFINE_bool("plan", False, "say what is to do, and do nothing")
    flags.DEFINE_string("known", None, "a table.csv of cells that were made elsewhere")
    flags.DEFINE_string("trial", None, "make one cell in this process")
    app.run(main)
