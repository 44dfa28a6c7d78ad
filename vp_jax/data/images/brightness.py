"""Whether the images of a dataset use more than a sliver of the levels from black to white."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SLIVER = 64
"""Levels, of 256; images that keep within fewer are probably not as bright as they should be."""


class Levels(NamedTuple):
    """The lowest and the highest level of so many images; at least as far apart as they say."""

    low: int
    high: int
    images: int


class Span:
    """Collects between which levels images lie, until that is more than a sliver.

    Several threads may add images at once.
    """

    def __init__(self) -> None:
        self._ends: set[int] = set()
        self.is_wide = False

    def add(self, image: np.ndarray) -> None:
        """Takes note of an image, uint8 of any shape."""
        if not self.is_wide:
            self._ends.add(int(image.min()))
            self._ends.add(int(image.max()))
            ends = tuple(self._ends)  # Others may add to them meanwhile.
            self.is_wide = max(ends) - min(ends) >= SLIVER

    def levels(self, images: int) -> Levels | None:
        """What was found in so many images; None if there were none."""
        ends = tuple(self._ends)
        return Levels(min(ends), max(ends), images) if ends else None


def warning(name: str, levels: Levels | None, total: int) -> str | None:
    """What to tell the user about a dataset that uses a sliver of its range; None if it does not.

    Args:
      name: of the task.
      levels: of its images, or of those that were looked at.
      total: how many images it has.
    """
    if levels is None or levels.high - levels.low >= SLIVER:
        return None
    looked = "" if levels.images == total else " that were looked at"
    return (
        f"The {levels.images:,} images of {name!r}{looked} lie between the levels {levels.low} and "
        f"{levels.high} of 0 (black) to 255 (white), as 12 bits in 16-bit files do, or 0 and 1 in "
        "8-bit ones. They are taken as they are: if they should be brighter, save them so that "
        "white is 255 in 8 bits, or 65535 in 16"
    )
