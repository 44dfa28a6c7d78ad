"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vp_jax.report.page import svg
from vp_jax.report.page.figures.canvas import LETTER, LOOK, canvas, place
from vp_jax.report.pictures.curves import panel
from vp_jax.report.pictures.examples import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 24
"""Classes of which a matrix is drawn; of more those that are confused most."""
_WITH_NUMBERS = 12
_LETTERS = 14


class Mistake(NamedTuple):
    """One class taken for another.

    Attributes:
      label, taken_for: numbers of the classes.
      images: how many.
      share: of the images of the label.
    """

    label: int
    taken_for: int
    images: int
    share: float


def matrix(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """How many images of each class, row by row, are taken for each, int `[K, K]`."""
    cells = np.bincount(labels.astype(np.int64) * classes + predictions, minlength=classes**2)
    return cells.reshape(classes, classes)


def mistakes(counts: np.ndarray, most: int) -> list[Mistake]:
    """The most frequent confusions, most frequent first; of equally many the larger share."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    shares = wrong / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows, columns = np.nonzero(wrong)
    order = np.lexsort((columns, rows, -shares[rows, columns], -wrong[rows, columns]))[:most]
    return [
        Mistake(int(i), int(j), int(wrong[i, j]), float(shares[i, j]))
        for i, j in zip(rows[order], columns[order], strict=True)
    ]


def most_confused(counts: np.ndarray, most: int = SHOWN) -> np.ndarray:
    """The classes of the most frequent confusions, in their order; all where there are few."""
    if len(counts) <= most:
        return np.arange(len(counts))
    chosen: list[int] = []
    for mistake in mistakes(counts, len(counts) * 4):
        new = [c for c in (mistake.label, mistake.taken_for) if c not in chosen]
        if len(chosen) + len(new) > most:
            break
        chosen += new
    left = [c for c in range(len(counts)) if c not in chosen]
    return np.array(sorted(chosen + left[: most - len(chosen)]))


def confusion(counts: np.ndarray, names: Sequence[str], chosen: np.ndarray) -> str:
    """A matrix of some classes as SVG: rows are what images show, columns what they are taken for.

    Colours say the share of a row, the root of it, so that rare confusions are seen.
    """
    labels = [shorten(names[i], _LETTERS) for i in chosen]
    room = 0.2 + LETTER * max(map(len, labels))
    side = svg.WIDTH - room - 0.1
    figure = canvas(side + room + 0.25)
    axes = place(figure, room, 0.1, 0.25, room)
    panel(axes, "", LOOK)
    axes.grid(False)
    axes.spines[["left", "bottom"]].set_visible(False)
    size = len(chosen)
    _cells(axes, counts[np.ix_(chosen, chosen)], counts.sum(axis=1)[chosen])
    axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
    small = min(svg.SMALL, 170 / size)
    axes.set_yticks(range(size), labels, parse_math=False, fontsize=small)
    axes.set_xticks(range(size), labels, parse_math=False, fontsize=small, rotation=90)
    axes.tick_params(labeltop=True, labelbottom=False)
    axes.set_xlabel("columns: taken for", fontsize=svg.SMALL, color=svg.FAINT)
    return svg.inline(figure, "confusion matrix")


def _cells(axes: Axes, cells: np.ndarray, totals: np.ndarray) -> None:
    from matplotlib.patches import Rectangle

    size = len(cells)
    for i in range(size):
        for j in range(size):
            share = cells[i, j] / max(totals[i], 1)
            colour = svg.TUNED if i == j else svg.BAD
            axes.add_patch(Rectangle((j - 0.48, i - 0.48), 0.96, 0.96, fc=svg.LINE, alpha=0.25))
            if not cells[i, j]:
                continue
            alpha = max(0.08, share**0.5) * 0.85
            axes.add_patch(Rectangle((j - 0.48, i - 0.48), 0.96, 0.96, fc=colour, alpha=alpha))
            if size <= _WITH_NUMBERS:
                text = axes.text(j, i, f"{cells[i, j]:,}", ha="center", va="center")
                text.set(fontsize=svg.SMALL, color=svg.INK)
