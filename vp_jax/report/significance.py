"""What counts of right and wrong answers prove."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

EXACT_BELOW = 25
"""Discordant pairs below which chances are counted exactly."""


def wilson(right: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share, of Wilson (1927).

    >>> [round(x, 3) for x in wilson(8, 10)]
    [0.49, 0.943]
    """
    share, extra = right / count, z * z / count
    middle = (share + extra / 2) / (1 + extra)
    half = z / (1 + extra) * math.sqrt(share * (1 - share) / count + extra / (4 * count))
    return middle - half, middle + half


class McNemar(NamedTuple):
    """Two models on the same images.

    Attributes:
      only_one, only_other: images that one alone has right.
      p: the probability of a difference at least as large if both were equally good.
      exact: whether it was counted, not approximated.
    """

    only_one: int
    only_other: int
    p: float
    exact: bool


def mcnemar(one: np.ndarray, other: np.ndarray) -> McNemar:
    r"""McNemar's test (Psychometrika 12, 1947) of two models on the same images.

    Only the n images count that one alone has right: b the one, c the other. If both are equally
    good each of them falls to either with probability 1/2. Below 25 of them p is counted from the
    binomial distribution, \(2 \sum_{k \le \min(b, c)} \binom{n}{k} 2^{-n}\), at most 1. From there
    on \((|b - c| - 1)^2 / n\), with the continuity correction of Edwards (Psychometrika 13, 1948),
    is compared with \(\chi^2\) of one degree of freedom.

    Args:
      one, other: which images each has right, bool `[N]`.

    >>> mcnemar(np.array([True] * 9 + [False]), np.array([False] * 9 + [True])).p
    0.021484375
    """
    b, c = int((one & ~other).sum()), int((other & ~one).sum())
    n = b + c
    if n < EXACT_BELOW:
        tail = sum(math.comb(n, k) for k in range(min(b, c) + 1)) / 2**n
        return McNemar(b, c, min(1.0, 2 * tail), True)
    statistic = max(abs(b - c) - 1, 0) ** 2 / n
    return McNemar(b, c, math.erfc(math.sqrt(statistic / 2)), False)
