"""The curves of many runs that were trained at once, in one picture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from vp_jax.report.pictures import style
from vp_jax.report.pictures.curves import MARKERS_UP_TO, panel, series
from vp_jax.report.pictures.save import save_png

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
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(9, 7), dpi=style.DPI, layout="constrained")
    loss, accuracy = figure.subplots(2, 1, sharex=True)
    colours = colormaps["viridis"]
    for i, (rows, label) in enumerate(zip(members, labels, strict=True)):
        colour = colours(i / max(len(members) - 1, 1) * 0.9)
        for axes, key in ((loss, "train/loss"), (accuracy, f"{split}/accuracy")):
            steps, values = series(rows, key)
            marker = "o" if len(steps) <= MARKERS_UP_TO else None
            axes.plot(steps, values, color=colour, lw=1.3, marker=marker, ms=3.5, label=label)
    panel(loss, "training loss (nats)")
    panel(accuracy, f"{split} accuracy")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    accuracy.set_xlabel("step", fontsize=style.TEXT)
    if len(members) <= _LEGEND_UP_TO:
        figure.legend(
            *loss.get_legend_handles_labels(),
            loc="outside right upper",
            frameon=False,
            fontsize=style.SMALL,
        )
    save_png(path, figure)
