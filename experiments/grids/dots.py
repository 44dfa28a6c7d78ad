"""The table of a grid as a picture: a panel a task, a line a method, a point a seed."""

from __future__ import annotations

import pathlib
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from experiments.grids.measured import Rows
from experiments.grids.trial import Trial
from vp_jax.report.pictures import style
from vp_jax.report.pictures.save import save_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURE = "plot.png"
COLOURS = {
    "prompt": style.BLUE,
    "head": style.ORANGE,
    "prompt + head": style.PURPLE,
    "backbone + head": style.RIGHT,
}
"""By what trains; everything else is drawn in grey."""
DASHED: dict[str, Any] = {"color": style.FAINT, "lw": 1, "ls": (0, (4, 3))}
"""The line at the base."""


def draw(folder: pathlib.Path, trials: Sequence[Trial], rows: Rows, base: str) -> pathlib.Path:
    """Writes `plot.png`: test accuracies, their means as bars, coloured by what trains.

    Args:
      folder: for it.
      trials: of the grid, in order.
      rows: what is finished of it; at least one.
      base: the row at whose mean each panel has a line.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = list(dict.fromkeys(t.column for t in trials if (t.column, t.row) in rows))
    names = list(dict.fromkeys(t.row for t in trials if any((c, t.row) in rows for c in columns)))
    trains = {t.row: t.trains for t in trials}
    colours = {name: COLOURS.get(trains[name], style.FAINT) for name in names}
    size = (2 + 1.6 * max(len(columns), 2), 1.2 + 0.26 * len(names))
    figure = Figure(figsize=size, dpi=style.DPI, layout="constrained")
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, column in zip(panels, columns, strict=True):
        _panel(axes, column, names, colours, rows)
        if (column, base) in rows:
            mean = 100 * statistics.mean(rows[column, base].test)
            axes.axvline(mean, zorder=0, **DASHED)
    panels[0].set_yticks(range(len(names)), names, fontsize=style.TEXT)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    figure.supxlabel("test accuracy, %", fontsize=style.TEXT, color=style.INK)
    there = dict.fromkeys(trains[name] for name in names if trains[name])
    marks = [
        Line2D([], [], color=COLOURS.get(what, style.FAINT), marker="o", ms=4, ls="", label=what)
        for what in there
    ]
    marks.append(Line2D([], [], label=base, **DASHED))
    figure.legend(
        handles=marks, loc="outside upper center", ncols=len(marks), frameon=False,
        fontsize=style.SMALL,
    )  # fmt: skip
    save_png(folder / PICTURE, figure)
    return folder / PICTURE


def _panel(
    axes: Axes, column: str, names: Sequence[str], colours: dict[str, str], rows: Rows
) -> None:
    for place, name in enumerate(names):
        if (column, name) not in rows:
            continue
        test = [100 * x for x in rows[column, name].test]
        axes.plot(test, [place] * len(test), "o", ms=3, alpha=0.45, mew=0, color=colours[name])
        axes.plot(statistics.mean(test), place, "|", ms=9, mew=2, color=colours[name])
    axes.set_title(column.replace(", ", ",\n"), fontsize=style.TEXT, color=style.INK)
    axes.grid(axis="y", color=style.LINE, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=style.SMALL, colors=style.INK, length=0)
    axes.margins(x=0.08)
    for side in axes.spines.values():
        side.set_visible(False)
