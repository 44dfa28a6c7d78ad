"""Loss, accuracy and learning rate over the steps, on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vp_jax.report.page import svg
from vp_jax.report.page.figures.canvas import LOOK, canvas
from vp_jax.report.pictures.curves import draw_curves

Rows = Sequence[Mapping[str, Any]]


def progress(rows: Rows, zero_shot: float | None, before: str) -> str:
    """The curves of a run as SVG; the arguments are those of `pictures.curves.curves`."""
    figure = canvas(5.6)
    places = {"left": 0.155, "right": 0.985, "bottom": 0.085, "top": 0.985, "hspace": 0.07}
    draw_curves(figure, rows, zero_shot, before, LOOK, **places)
    return svg.inline(figure, "loss, accuracy and learning rate by steps")
