"""Accuracy against how far a prompt may change an image.

Every pixel trains, the change of each stays within epsilon of 255 grey levels. `plot.png` has the
curves and, for each task, a test image as it is and with the prompt of every epsilon.
"""

from __future__ import annotations

import pathlib
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.grids import trial as trial_lib
from experiments.grids.dots import PICTURE
from experiments.grids.measured import Rows
from experiments.grids.methods import ADAM, BATCH, SHARED, rates
from experiments.grids.pairs import PAIRS, located
from experiments.grids.trial import Trial
from vp_jax import data, restored
from vp_jax.report.pictures import style
from vp_jax.report.pictures.curves import panel
from vp_jax.report.pictures.save import save_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BASE = "epsilon 8"
EPSILONS = (1, 2, 4, 8, 16, 32, 64)


def trials(seeds: Sequence[int]) -> list[Trial]:
    """A row an epsilon, a column a task."""
    return [
        Trial(
            column=pair.name,
            row=f"epsilon {epsilon}",
            settings={
                **SHARED,
                **located(pair.settings),
                **ADAM,
                "epochs": pair.epochs,
                "prompt": f"within(full(init='zeros'), {epsilon}) | normalize",
            },
            choices=rates(0.01),
            seeds=seeds,
            images=pair.updates * BATCH,
        )
        for pair in PAIRS
        if not pair.costly
        for epsilon in EPSILONS
    ]


def draw(folder: pathlib.Path, trials: Sequence[Trial], rows: Rows, base: str) -> pathlib.Path:
    """Writes the curves and the images of all tasks of which something is finished.

    The arguments are those of `dots.draw`.
    """
    del base
    from matplotlib.figure import Figure

    columns = [c for c in dict.fromkeys(t.column for t in trials) if any(c == k for k, _ in rows)]
    figure = Figure(figsize=(9, 4 + 1.3 * len(columns)), dpi=style.DPI, layout="constrained")
    heights = [3, *(1 for _ in columns)]
    grid = figure.add_gridspec(len(heights), 1 + len(EPSILONS), height_ratios=heights)
    curves = figure.add_subplot(grid[0, :])
    for place, column in enumerate(columns):
        _curve(curves, column, rows)
        own = {t.row: t for t in trials if t.column == column}
        images = _images(folder, own, rows, column)
        for number, (title, image) in enumerate(images):
            axes = figure.add_subplot(grid[1 + place, number])
            if image is not None:
                axes.imshow(np.clip(image, 0, 1))
            axes.set_axis_off()
            axes.set_title(title, fontsize=style.SMALL)
    panel(curves, "test accuracy")
    curves.set_xscale("symlog", base=2, linthresh=1)
    curves.set_xticks([0, *EPSILONS], [str(e) for e in (0, *EPSILONS)])
    curves.set_xlabel("epsilon, of 255 grey levels", fontsize=style.TEXT)
    curves.legend(frameon=False, fontsize=style.SMALL)
    save_png(folder / PICTURE, figure)
    return folder / PICTURE


def _curve(axes: Axes, column: str, rows: Rows) -> None:
    """Mean and spread over seeds, from the accuracy without a prompt."""
    places = {e: (column, f"epsilon {e}") for e in EPSILONS}
    known = [rows[place] for place in places.values() if place in rows]
    means = [known[0].zero_shot or 0.0, *(statistics.mean(row.test) for row in known)]
    spreads = [0.0, *(statistics.stdev(row.test) if len(row.test) > 1 else 0.0 for row in known)]
    epsilons = [0, *(e for e, place in places.items() if place in rows)]
    axes.errorbar(epsilons, means, spreads, marker="o", ms=3.5, label=column)


def _images(
    folder: pathlib.Path, own: dict[str, Trial], rows: Rows, column: str
) -> list[tuple[str, np.ndarray | None]]:
    """A test image as it is, and with the prompt of every epsilon."""
    found: list[tuple[str, np.ndarray | None]] = []
    image = None
    for epsilon in EPSILONS:
        trial = own[f"epsilon {epsilon}"]
        run = trial_lib.best_run(trial, folder / trial.key) if (column, trial.row) in rows else None
        if run is None:
            found.append((str(epsilon), None))
            continue
        model = restored.load(run)
        if image is None:
            task = trial.config().task
            test = data.load_task(task.name, resize=model.rule, data_dir=task.data_dir).test
            image = np.asarray(test.images[:1])[0]
            found.insert(0, (column, model.unprompted(image)))
        found.append((str(epsilon), model.prompted(image)))
    return found
