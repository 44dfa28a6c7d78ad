"""What the figures of a page have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vp_jax.report.page import svg
from vp_jax.report.pictures.style import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOK = Look(
    ink=svg.INK,
    faint=svg.FAINT,
    line=svg.LINE,
    train=svg.TUNED,
    val=svg.BEFORE,
    test=svg.THIRD,
    text=svg.TEXT,
    small=svg.SMALL,
)
LETTER = 0.072
"""Inches that a letter of a name takes at most, nearly."""


def canvas(height: float) -> Figure:
    """An empty figure, as wide as all of them are, of a height in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(svg.WIDTH, height))


def place(figure: Figure, left: float, right: float, bottom: float, top: float) -> Axes:
    """Axes within a figure, with margins in inches."""
    width, height = figure.get_size_inches()
    size = (width - left - right) / width, (height - bottom - top) / height
    return figure.add_axes((left / width, bottom / height, *size))


def legend(axes: Axes, **more: object) -> None:
    """A legend without a frame, in the page's ink."""
    from typing import Any

    how: dict[str, Any] = {"frameon": False, "fontsize": svg.SMALL, "labelcolor": svg.INK, **more}
    axes.legend(**how)
