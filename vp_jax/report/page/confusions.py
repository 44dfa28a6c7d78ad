"""Which classes a run takes for which: a matrix, and the most frequent mistakes by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vp_jax.records.predictions_file import OnTest
from vp_jax.report.page.embed import picture
from vp_jax.report.page.figures import confusion

MISTAKES = 20
_OVERVIEW = 256
"""Cells of a side of the overview; of more classes the neighbours are taken together."""
_TUNED, _BAD = (47, 129, 199), (214, 84, 51)


class Confusions(NamedTuple):
    """What a page says of confusions.

    Attributes:
      figure: SVG of a matrix of all classes, or of those that are confused most.
      shown, classes: how many these are, and how many there are.
      overview: all classes as an image, `data:`; empty where the matrix has them all.
      together: how many classes one cell of it stands for.
      mistakes: label, taken for, count, share of the label's images; most frequent first.
    """

    figure: str
    shown: int
    classes: int
    overview: str
    together: int
    mistakes: list[tuple[str, str, int, float]]


def confusions(found: OnTest, names: Sequence[str]) -> Confusions:
    """Counts the mistakes of a run on test."""
    counts = confusion.matrix(found.labels, found.tuned.predictions, len(names))
    chosen = confusion.most_confused(counts)
    together = -(-len(names) // _OVERVIEW)
    overview = ""
    if len(chosen) < len(names):
        overview = picture(_image(_taken_together(counts, together)), None)
    return Confusions(
        confusion.confusion(counts, names, chosen),
        len(chosen),
        len(names),
        overview,
        together,
        [
            (names[i], names[j], count, share)
            for i, j, count, share in confusion.mistakes(counts, MISTAKES)
        ],
    )


def _taken_together(counts: np.ndarray, together: int) -> np.ndarray:
    size = -(-len(counts) // together)
    padded = np.zeros((size * together,) * 2, counts.dtype)
    padded[: len(counts), : len(counts)] = counts
    return padded.reshape(size, together, size, together).sum(axis=(1, 3))


def _image(counts: np.ndarray) -> np.ndarray:
    """Colours whose opacity is the root of the share of a row, uint8 `[K, K, 4]`."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = np.zeros((*counts.shape, 4), np.uint8)
    image[..., :3] = _BAD
    image[np.arange(len(counts)), np.arange(len(counts)), :3] = _TUNED
    image[..., 3] = np.rint(255 * shares**0.5)
    return image
