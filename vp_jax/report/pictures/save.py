"""Writes figures so that a file is there whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vp_jax.host.files import write
from vp_jax.report.pictures.style import DPI

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_png(path: str | os.PathLike[str], figure: Figure) -> None:
    """Writes a matplotlib figure as PNG, drawn by the Agg backend.

    Args:
      path: of the file, whatever its suffix; its folder is made where it is missing.
      figure: made by `matplotlib.figure.Figure`, not by pyplot.

    Raises:
      OSError: the file cannot be written; one that was there before is untouched.
    """
    write(path, lambda file: figure.savefig(file, format="png", dpi=DPI, facecolor="white"))
