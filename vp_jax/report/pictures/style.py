"""The look that all pictures share. Colours are told apart by the colour-blind too."""

from __future__ import annotations

from typing import NamedTuple

INK = "#222222"
FAINT = "#777777"
LINE = "#d9d9d9"
BLUE = "#0072b2"
ORANGE = "#d55e00"
PURPLE = "#9b4f96"
RIGHT = "#00795a"
WRONG = "#c0321a"

DPI = 120
TITLE = 12  # points
TEXT = 9
SMALL = 8


class Look(NamedTuple):
    """Colours and sizes of a figure's parts.

    Attributes:
      ink, faint, line: of texts, of lesser ones, of grids.
      train, val, test: of curves.
      text, small: sizes of texts in points.
    """

    ink: str = INK
    faint: str = FAINT
    line: str = LINE
    train: str = BLUE
    val: str = ORANGE
    test: str = PURPLE
    text: float = TEXT
    small: float = SMALL


PRINT = Look()
