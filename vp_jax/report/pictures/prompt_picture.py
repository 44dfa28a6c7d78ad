"""The picture of a prompt, large enough to look at."""

from __future__ import annotations

import os
import textwrap

import numpy as np

from vp_jax.errors import UserError
from vp_jax.report.pictures import style
from vp_jax.report.pictures.save import save_png

_SIDE = 672  # pixels of the longer side, at most
_MARGIN = 24
_ABOVE = 52
_BELOW = 56
_LETTERS, _SMALL_LETTERS = 66, 88  # of a line of the title
_KEY = (  # x from the middle, colour, text
    (-210, "#101010", "darker: subtracted"),
    (-50, "#808080", "grey: no change"),
    (95, "#f4f4f4", "brighter: added"),
)


def prompt_picture(
    path: str | os.PathLike[str], picture: np.ndarray, title: str = "Visual prompt"
) -> None:
    """Writes a PNG of a prompt, enlarged without smoothing, with a key to its greys.

    Args:
      path: of the PNG.
      picture: uint8, `[H, W, 3]`, as `vp_jax.prompts.to_image` draws it: 128 where the prompt
        changes nothing.
      title: above it, in two lines at most, the rest cut off.

    Raises:
      UserError: `picture` is of another dtype or shape.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    picture = np.asarray(picture)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3 or not picture.size:
        raise UserError(
            f"the picture of a prompt must be uint8 [H, W, 3], got {picture.dtype} of shape "
            f"{picture.shape}: draw it with vp_jax.prompts.to_image"
        )
    height, width = _shown_size(*picture.shape[:2])
    lines = textwrap.wrap(title, _LETTERS)
    if len(lines) > 1:
        lines = textwrap.wrap(title, _SMALL_LETTERS, max_lines=2, placeholder=" ...")
    total_width = max(width, 430) + 2 * _MARGIN
    total_height = height + _ABOVE + _BELOW
    figure = Figure(figsize=(total_width / style.DPI, total_height / style.DPI), dpi=style.DPI)

    left = (total_width - width) // 2
    axes = figure.add_axes(
        (left / total_width, _BELOW / total_height, width / total_width, height / total_height)
    )
    axes.imshow(picture, interpolation="nearest", aspect="auto")
    axes.set_axis_off()

    canvas = figure.add_axes((0, 0, 1, 1), zorder=-1)
    canvas.set(xlim=(0, total_width), ylim=(0, total_height))
    canvas.set_axis_off()
    middle = total_width / 2
    canvas.text(
        middle,
        total_height - _ABOVE / 2,
        "\n".join(lines),
        ha="center",
        va="center",
        fontsize=style.TITLE if len(lines) == 1 else style.TEXT,
        color=style.INK,
        parse_math=False,
    )
    for offset, colour, text in _KEY:
        x = middle + offset
        canvas.add_patch(
            Rectangle((x, 22), 12, 12, facecolor=colour, edgecolor=style.FAINT, lw=0.6)
        )
        canvas.text(x + 18, 28, text, va="center", fontsize=style.SMALL, color=style.INK)
    save_png(path, figure)


def _shown_size(height: int, width: int) -> tuple[int, int]:
    """Enlarged by a whole number, so that all pixels stay alike; shrunk when too large."""
    scale = _SIDE / max(height, width)
    scale = int(scale) if scale >= 1 else scale
    return max(1, round(height * scale)), max(1, round(width * scale))
