"""The curves of several runs on one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vp_jax.report.page import svg
from vp_jax.report.page.figures.canvas import LOOK, canvas
from vp_jax.report.pictures.sweep_curves import draw_members


def colour(number: int) -> str:
    """Of a run by its number; the ninth has that of the first."""
    return svg.MORE[number % len(svg.MORE)]


def together(runs: Sequence[Sequence[Mapping[str, Any]]], names: Sequence[str], split: str) -> str:
    """Training loss and accuracy on a split by steps, as SVG, in the colours of the runs.

    Args:
      runs: rows of each one's `metrics.jsonl`.
      names: of the runs.
      split: whose accuracy is drawn, `"val"` or `"test"`.
    """
    figure = canvas(5.2)
    places = {"left": 0.155, "right": 0.985, "bottom": 0.09, "top": 0.985, "hspace": 0.06}
    colours = [colour(i) for i in range(len(runs))]
    draw_members(figure, runs, names, split, colours, LOOK, **places)
    return svg.inline(figure, "training loss and accuracy of the runs by steps")
