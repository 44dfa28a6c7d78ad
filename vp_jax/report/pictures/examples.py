"""Images without and with the prompt, and what the model takes them for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vp_jax.errors import UserError
from vp_jax.report.pictures import style
from vp_jax.report.pictures.save import save_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_EXAMPLES = 12
_COLUMNS = 6  # at most
_NAME_LENGTH = 18  # characters that fit above and below a picture
_SEEN = 0.1  # mean change of pixels, of 1, below which a prompt can hardly be seen
_WIDEST = (-0.5, 1.5)  # the values that are shown at most

# Inches: side of a picture, space between columns, left of the first, above and below a picture,
# and the height of a pair with all of its text.
_SIDE = 1.5
_GAP = 0.1
_LEFT = 0.3
_ABOVE = 0.36
_BELOW = 0.28
_BAND = _ABOVE + 2 * (_SIDE + _BELOW)


def examples(
    path: str | os.PathLike[str],
    before: np.ndarray,
    after: np.ndarray,
    labels: Sequence[str],
    predicted_before: Sequence[str],
    predicted_after: Sequence[str],
) -> None:
    """Writes a PNG with a pair of pictures an example: the image above, prompted below.

    The true class stands above a pair; the predicted class below each picture, green with a tick
    when it is right and red with a cross when it is wrong. At most the first 12 are shown.

    Args:
      path: of the PNG.
      before: images, `[N, S, S, 3]`, uint8 or floating in [0, 1].
      after: the same images with the prompt, `[N, S', S', 3]`, uint8 or floating. Values outside
        of [0, 1] are clipped for display, unless that hides the prompt, as on white images: then
        more of them are shown, with less contrast, and the range is written beside them.
      labels: N names of the true classes.
      predicted_before: N names of classes predicted for `before`.
      predicted_after: N names of classes predicted for `after`.

    Raises:
      UserError: no example, shapes that are not of RGB images, or lengths that differ.
    """
    from matplotlib.figure import Figure

    before, after = np.clip(_floats("before", before), 0.0, 1.0), _floats("after", after)
    after, written = made_visible(before, after)
    lengths = [len(x) for x in (before, after, labels, predicted_before, predicted_after)]
    if len(set(lengths)) != 1 or lengths[0] == 0:
        raise UserError(
            "examples need the same number, at least 1, of images before, images after, labels, "
            f"predictions before and predictions after; got {lengths}"
        )
    count = min(lengths[0], MAX_EXAMPLES)
    bands = -(-count // _COLUMNS)
    columns = -(-count // bands)
    width = _LEFT + columns * (_SIDE + _GAP)
    height = bands * _BAND
    figure = Figure(figsize=(width, height), dpi=style.DPI)
    page = figure.add_axes((0, 0, 1, 1))
    page.set_axis_off()

    for i in range(count):
        band, column = divmod(i, columns)
        left = _LEFT + column * (_SIDE + _GAP)
        upper = band * _BAND + _ABOVE
        lower = upper + _SIDE + _BELOW
        _draw(page, left, upper, before[i], predicted_before[i], labels[i])
        _draw(page, left, lower, after[i], predicted_after[i], labels[i])
        page.text(
            left + _SIDE / 2,
            upper - 4 / 72,
            shorten(labels[i]),
            ha="center",
            fontsize=style.TEXT,
            fontweight="bold",
            color=style.INK,
            parse_math=False,
        )
        if column == 0:
            for top, text in ((upper, "image"), (lower, f"with prompt{written}")):
                page.text(
                    left - 0.06 * _SIDE,
                    top + _SIDE / 2,
                    text,
                    rotation=90,
                    ha="right",
                    va="center",
                    fontsize=style.SMALL,
                    color=style.FAINT,
                )
    page.set(xlim=(0, width), ylim=(height, 0))
    save_png(path, figure)


def shorten(name: str, length: int = _NAME_LENGTH) -> str:
    """The name, its end replaced by an ellipsis where it is too long.

    >>> shorten("golden retriever", 9)
    'golden r…'
    """
    name = " ".join(str(name).split())
    return name if len(name) <= length else name[: length - 1].rstrip() + "…"


def made_visible(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, str]:
    """Prompted images in [0, 1] for display, and the range of values that this stands for."""
    clipped, written = np.clip(after, 0.0, 1.0), ""
    if before.shape != after.shape:
        return clipped, written
    for image, prompted, shown in zip(before, after, clipped, strict=True):
        changed = np.abs(prompted - image) > 1 / 255
        seen = np.abs(shown - image)[changed].mean() if changed.any() else 1.0
        if seen < _SEEN and 2 * seen < np.abs(prompted - image)[changed].mean():
            low = max(min(after.min(), 0.0), _WIDEST[0])
            high = min(max(after.max(), 1.0), _WIDEST[1])
            shown = np.clip((after - low) / (high - low), 0.0, 1.0)
            return shown, f" ({low:.1f} to {high:.1f})"
    return clipped, written


def _floats(what: str, images: np.ndarray) -> np.ndarray:
    """Images as floats, of 1 at full brightness; what is not a number is grey."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape[1:]:
        raise UserError(f"images {what} must have shape [N, S, S, 3], got {images.shape}")
    if images.dtype == np.uint8:
        return images / 255.0
    if not np.issubdtype(images.dtype, np.floating):
        raise UserError(f"images {what} must be uint8 or floating, got {images.dtype}")
    return np.nan_to_num(images.astype(np.float64), nan=0.5, posinf=1e6, neginf=-1e6)


def _draw(
    page: Axes, left: float, top: float, image: np.ndarray, predicted: str, label: str
) -> None:
    """Draws an image, its outline and its class on a page whose unit is an inch, from the top."""
    from matplotlib.patches import Rectangle

    extent = (left, left + _SIDE, top + _SIDE, top)
    page.imshow(image, interpolation="nearest", extent=extent, aspect="auto")
    frame = Rectangle((left, top), _SIDE, _SIDE, fill=False, edgecolor=style.LINE, lw=0.8)
    frame.set_clip_on(False)
    page.add_patch(frame)  # white images end somewhere
    right = predicted == label
    page.text(
        left + _SIDE / 2,
        top + 1.04 * _SIDE,
        f"{'✓' if right else '✗'} {shorten(predicted)}",
        ha="center",
        va="top",
        fontsize=style.SMALL,
        color=style.RIGHT if right else style.WRONG,
        parse_math=False,
    )
