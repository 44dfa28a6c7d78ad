"""How images are told apart by centroids of their features."""

from __future__ import annotations

from typing import NamedTuple

WAYS = ("kmeans", "average")


class Routing(NamedTuple):
    """The centroids that a stage needs.

    Attributes:
      k: how many.
      by: how clusters are found: `"kmeans"`, or `"average"`, by average linkage.
    """

    k: int
    by: str
