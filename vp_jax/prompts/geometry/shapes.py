"""Shapes on an image: which of its pixels they cover."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np

from vp_jax.prompts.arguments import OneOf

Shape = Annotated[str, OneOf(("box", "circle"))]


def covered(
    shape: Shape, image: Sequence[int], top: int, left: int, height: int, width: int
) -> np.ndarray:
    """The pixels that a shape covers, bool `[H, W]`.

    Args:
      shape: `"box"`, or `"circle"`: the ellipse that touches the box.
      image: (H, W).
      top, left: the first row and column of the box.
      height, width: of the box; none is covered where one of them is below 1.

    >>> covered("circle", (4, 5), 0, 1, 4, 4).astype(int).tolist()
    [[0, 0, 1, 1, 0], [0, 1, 1, 1, 1], [0, 1, 1, 1, 1], [0, 0, 1, 1, 0]]
    """
    if min(height, width) < 1:
        return np.zeros(tuple(image), bool)
    # From the middle, in halves of the box; pixels are where their centres are.
    down = np.abs(2 * (np.arange(image[0]) + 0.5 - top) / height - 1)[:, None]
    across = np.abs(2 * (np.arange(image[1]) + 0.5 - left) / width - 1)[None, :]
    if shape == "box":
        return (down < 1) & (across < 1)
    return down**2 + across**2 < 1
