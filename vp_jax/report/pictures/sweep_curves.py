"""The curves of many runs that were trained at once, in one picture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vp_jax.report.pictures import style
from vp_jax.report.pictures.curves import (
    MARKERS_UP_TO,
    SMOOTH_FROM,
    panel,
    running_mean,
    series,
    widen,
)
from vp_jax.report.pictures.save import save_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEGEND_UP_TO = 24  # members


def sweep_curves(
    path: str | os.PathLike[str],
    members: Sequence[Sequence[Mapping[str, Any]]],
    labels: Sequence[str],
    split: str = "val",
) -> None:
    """Writes a PNG with two panels: the training loss and the accuracy on a split, by steps.

    Args:
      path: of the PNG.
      members: rows of each one's `metrics.jsonl`.
      labels: what each is called in the legend.
      split: whose accuracy is drawn, `"val"` or `"test"`.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), dpi=style.DPI, layout="constrained")
    colours = [
        colormaps["viridis"](i / max(len(members) - 1, 1) * 0.9) for i in range(len(members))
    ]
    loss = draw_members(figure, members, labels, split, colours, style.PRINT)
    if len(members) <= _LEGEND_UP_TO:
        figure.legend(
            *loss.get_legend_handles_labels(),
            loc="outside right upper",
            frameon=False,
            fontsize=style.SMALL,
        )
    save_png(path, figure)


def draw_members(
    figure: Figure,
    members: Sequence[Sequence[Mapping[str, Any]]],
    labels: Sequence[str],
    split: str,
    colours: Sequence[Any],
    look: style.Look,
    **places: float,
) -> Axes:
    """Draws the panels of `sweep_curves` into a figure, and returns the upper one.

    Args:
      figure: an empty one.
      members, labels, split: as for `sweep_curves`.
      colours: of the members.
      look: of what is drawn.
      **places: where the panels are, as `subplots_adjust` takes them; none where the figure has a
        layout of its own.
    """
    from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

    loss, accuracy = figure.subplots(2, 1, sharex=True, gridspec_kw=places or None)
    for rows, label, colour in zip(members, labels, colours, strict=True):
        for axes, key in ((loss, "train/loss"), (accuracy, f"{split}/accuracy")):
            steps, values = series(rows, key)
            if key == "train/loss" and len(steps) >= SMOOTH_FROM:
                values = running_mean(values, len(steps) // 30 | 1).tolist()
            marker = "o" if len(steps) <= MARKERS_UP_TO else None
            axes.plot(steps, values, color=colour, lw=1.3, marker=marker, ms=3.5, label=label)
    panel(loss, "training loss (nats)", look)
    panel(accuracy, f"{split} accuracy", look)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    widen(accuracy)
    accuracy.set_xlabel("step", fontsize=look.text, color=look.ink)
    accuracy.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    accuracy.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return loss
