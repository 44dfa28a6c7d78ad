"""How often a model is right, by how sure it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vp_jax.heads import reliability as in_bins
from vp_jax.report.page import svg
from vp_jax.report.page.figures.canvas import LOOK, canvas, legend, place
from vp_jax.report.pictures.curves import panel

_HEIGHT = 5.3


def reliability(models: Sequence[tuple[str, str, np.ndarray, np.ndarray]]) -> str:
    """A reliability diagram as SVG, with how many predictions there are below it.

    Args:
      models: of each what it is called, its colour, the confidence of its predictions, `[N]`, and
        which of them are right, bool `[N]`.
    """
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = canvas(_HEIGHT)
    axes = place(figure, 0.65, 0.15, 1.25, 0.6)
    counts = place(figure, 0.65, 0.15, 0.5, _HEIGHT - 1.1)
    panel(axes, "right", LOOK)
    panel(counts, "images", LOOK)
    axes.plot([0, 1], [0, 1], color=svg.FAINT, lw=1, ls=(0, (5, 3)))
    for name, colour, confidence, right in models:
        found = in_bins(confidence, right)
        filled = found.counts > 0
        label = f"{name} (calibration error {found.error:.1%})"
        x, y = found.confidence[filled], found.accuracy[filled]
        axes.plot(x, y, "-o", color=colour, mec=colour, ms=4, lw=1.6, label=label)
        edges = np.linspace(0, 1, len(found.counts) + 1)
        counts.stairs(found.counts, edges, color=colour, lw=1.4)
    for both in (axes, counts):
        both.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.tick_params(labelbottom=False)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    counts.xaxis.set_major_formatter(PercentFormatter(1.0))
    counts.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    counts.set_xlabel("confidence", fontsize=svg.TEXT, color=svg.INK)
    legend(axes, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    return svg.inline(figure, "reliability diagram")
