"""The accuracy of each class, before training and after."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vp_jax.report.page import svg
from vp_jax.report.page.figures.canvas import LETTER, LOOK, canvas, legend, place
from vp_jax.report.pictures.curves import panel
from vp_jax.report.pictures.examples import shorten

NAMED_UP_TO = 40
"""Classes; of more of them each is a point."""
_ROW = 0.235
_LETTERS = 16


def by_class(
    names: Sequence[str], tuned: np.ndarray, before: np.ndarray | None, called: str
) -> str:
    """A line a class, or a point a class where there are many, as SVG.

    Args:
      names: of the classes.
      tuned: accuracy of each, `[K]`, NaN without test images.
      before: likewise of the model before training.
      called: what that is called.
    """
    known = np.flatnonzero(np.isfinite(tuned))
    if len(known) <= NAMED_UP_TO or before is None:
        return _lines(names, tuned, before, called, known)
    return _points(tuned, before, called, known)


def _lines(
    names: Sequence[str],
    tuned: np.ndarray,
    before: np.ndarray | None,
    called: str,
    known: np.ndarray,
) -> str:
    from matplotlib.ticker import PercentFormatter

    order = known[np.argsort(tuned[known], kind="stable")]
    if len(order) > NAMED_UP_TO:
        half = NAMED_UP_TO // 2
        order = np.concatenate([order[:half], order[-half:]])
    labels = [shorten(names[i], _LETTERS) for i in order]
    figure = canvas(0.95 + _ROW * len(order))
    axes = place(figure, 0.2 + LETTER * max(map(len, labels), default=1), 0.25, 0.4, 0.45)
    panel(axes, "", LOOK)
    axes.grid(False, axis="y")
    rows = np.arange(len(order))
    if before is not None:
        axes.hlines(rows, before[order], tuned[order], color=svg.LINE, lw=2.5, zorder=1)
        axes.plot(before[order], rows, "o", ms=5, mfc=svg.PAPER, mec=svg.BEFORE, label=called)
    axes.plot(tuned[order], rows, "o", ms=5.5, color=svg.TUNED, mec=svg.TUNED, label="trained")
    axes.set_yticks(rows, labels, parse_math=False)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.7, len(order) - 0.3))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    if before is not None:
        legend(axes, loc="lower right", bbox_to_anchor=(1.02, 1.0), ncols=2, borderaxespad=0.2)
    return svg.inline(figure, "accuracy of each class")


def _points(tuned: np.ndarray, before: np.ndarray, called: str, known: np.ndarray) -> str:
    from matplotlib.ticker import PercentFormatter

    figure = canvas(4.4)
    axes = place(figure, 0.65, 0.15, 0.5, 0.15)
    panel(axes, "trained", LOOK)
    axes.plot([0, 1], [0, 1], color=svg.FAINT, lw=1, ls=(0, (5, 3)))
    x, y = before[known], tuned[known]
    for chosen, colour, text in ((y >= x, svg.TUNED, "not worse"), (y < x, svg.BAD, "worse")):
        if chosen.any():
            label = f"{chosen.sum():,} {text}"
            axes.plot(x[chosen], y[chosen], "o", ms=3.5, color=colour, alpha=0.6, label=label)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_xlabel(called, fontsize=svg.TEXT, color=svg.INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    legend(axes, loc="lower right")
    return svg.inline(figure, "accuracy of each class, a point each")
