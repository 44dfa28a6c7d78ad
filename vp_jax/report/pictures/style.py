"""The look that all pictures share. Colours are told apart by the colour-blind too."""

from __future__ import annotations

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
