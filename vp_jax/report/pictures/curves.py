"""Loss, accuracy and learning rate over the steps of a run."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vp_jax.report.pictures import style
from vp_jax.report.pictures.save import save_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SPLITS = ("train", "val", "test")
SMOOTH_FROM = 60  # points; shorter curves are drawn as they are
MARKERS_UP_TO = 40


def curves(
    path: str | os.PathLike[str],
    rows: Sequence[Mapping[str, Any]],
    zero_shot: float | None = None,
    *,
    title: str = "",
    before: str = "zero-shot",
) -> None:
    """Writes a PNG with two panels, loss and accuracy, and the learning rate as a strip below.

    Long training curves are drawn pale, with their running mean in full colour on top.

    Args:
      path: of the PNG.
      rows: of `metrics.jsonl`, in any order: `step` and any of `train/loss`, `train/accuracy`,
        `learning_rate`, `val/loss`, `val/accuracy`, `test/loss`, `test/accuracy`. Accuracies are
        in [0, 1]. Values that are missing, None or not finite are left out.
      zero_shot: accuracy without a prompt, drawn as a horizontal line.
      title: a line above the panels.
      before: what the model of that line is called.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7.4), dpi=style.DPI)
    places = {"left": 0.105, "right": 0.99, "bottom": 0.055, "hspace": 0.05}
    places["top"] = 0.945 if title else 0.975
    if title:
        figure.suptitle(title, fontsize=style.TITLE, color=style.INK, parse_math=False)
    draw_curves(figure, rows, zero_shot, before, style.PRINT, **places)
    save_png(path, figure)


def draw_curves(
    figure: Figure,
    rows: Sequence[Mapping[str, Any]],
    zero_shot: float | None,
    before: str,
    look: style.Look,
    **places: float,
) -> None:
    """Draws the panels of `curves` into a figure.

    Args:
      figure: an empty one.
      rows, zero_shot, before: as for `curves`.
      look: of what is drawn.
      **places: where the panels are, as `subplots_adjust` takes them.
    """
    from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

    loss, accuracy, rate = figure.subplots(
        3, 1, sharex=True, gridspec_kw={"height_ratios": (5, 5, 1.3), **places}
    )
    panel(loss, "loss (nats)", look)
    _split_curves(loss, rows, "loss", look)
    values = [y for split in _SPLITS for y in series(rows, f"{split}/loss")[1]]
    if values and min(values) > 0 and max(values) > 20 * min(values):
        loss.set_yscale("log")

    panel(accuracy, "accuracy", look)
    _split_curves(accuracy, rows, "accuracy", look)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    if zero_shot is not None:
        label = f"{before} {zero_shot:.1%}"
        accuracy.axhline(zero_shot, color=look.faint, lw=1.2, ls=(0, (5, 3)), label=label)
    low, high = accuracy.get_ylim()
    accuracy.set_ylim(max(low, 0.0), min(high, 1.0))

    panel(rate, "learning\nrate", look)
    steps, rates = series(rows, "learning_rate")
    rate.plot(steps, rates, color=look.faint, lw=1.2, marker="." if len(steps) == 1 else None)
    rate.set_ylim(0, max(rates, default=1.0) * 1.15 or 1.0)
    rate.yaxis.set_major_locator(MaxNLocator(2))
    widen(rate)
    rate.set_xlabel("step", fontsize=look.text, color=look.ink)
    rate.xaxis.set_major_locator(MaxNLocator(8 if figure.get_figwidth() > 6 else 5, integer=True))
    rate.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))

    for axes in (loss, accuracy):
        if axes.get_legend_handles_labels()[1]:
            axes.legend(frameon=False, fontsize=look.small, loc="best", labelcolor=look.ink)
        else:
            axes.text(0.5, 0.5, "nothing measured yet", **_centred(axes, look))


def series(rows: Sequence[Mapping[str, Any]], key: str) -> tuple[list[float], list[float]]:
    """Steps and values of one metric where it is finite, by ascending step.

    >>> series([{"step": 2, "val/loss": 1.5}, {"step": 1, "val/loss": None}], "val/loss")
    ([2.0], [1.5])
    """
    logged = [(row.get("step"), row.get(key)) for row in rows]
    points = sorted(
        (float(step), float(value))
        for step, value in logged
        if isinstance(step, (int, float))
        and isinstance(value, (int, float))
        and math.isfinite(value)
    )
    return [step for step, _ in points], [value for _, value in points]


def _split_curves(
    axes: Axes, rows: Sequence[Mapping[str, Any]], metric: str, look: style.Look
) -> None:
    for split in _SPLITS:
        colour = getattr(look, split)
        steps, values = series(rows, f"{split}/{metric}")
        if not steps:
            continue
        if split == "train" and len(steps) >= SMOOTH_FROM:
            axes.plot(steps, values, color=colour, lw=0.6, alpha=0.3)
            window = len(steps) // 30 | 1
            label = f"train (mean of {window} logged values)"
            axes.plot(steps, running_mean(values, window), color=colour, lw=1.6, label=label)
            continue
        marker = "o" if len(steps) <= MARKERS_UP_TO else None
        label = split
        if split != "train":
            best = int(np.argmax(values) if metric == "accuracy" else np.argmin(values))
            shown = f"{values[best]:.1%}" if metric == "accuracy" else f"{values[best]:.3f}"
            label = f"{split} {shown}"
            if len(steps) > 1:
                label = f"{split} (best {shown}, step {steps[best]:,.0f})"
                axes.plot(steps[best], values[best], "o", ms=9, mfc="none", mec=colour, mew=1.4)
        axes.plot(steps, values, color=colour, lw=1.6, marker=marker, ms=3.5, label=label)


def running_mean(values: Sequence[float], window: int) -> np.ndarray:
    """Centred mean over an odd window, which is cut at both ends."""
    ones = np.ones(window)
    return np.convolve(values, ones, "same") / np.convolve(np.ones(len(values)), ones, "same")


def widen(axes: Axes) -> None:
    """Makes room around a single step, so that an axis has no fractions of steps."""
    first, last = axes.get_xlim()
    if last - first < 2:
        axes.set_xlim((first + last) / 2 - 1, (first + last) / 2 + 1)


def panel(axes: Axes, label: str, look: style.Look = style.PRINT) -> None:
    """Gives axes the look of all panels."""
    axes.set_ylabel(label, fontsize=look.text, color=look.ink)
    axes.grid(True, color=look.line, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", labelsize=look.small, colors=look.ink, length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(look.line)


def _centred(axes: Axes, look: style.Look) -> dict[str, Any]:
    return {
        "transform": axes.transAxes,
        "ha": "center",
        "va": "center",
        "fontsize": look.text,
        "color": look.faint,
    }
