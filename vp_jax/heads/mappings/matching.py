"""Which source class stands for which downstream class, given a score of every pair."""

from __future__ import annotations

import heapq

import numpy as np

from vp_jax.errors import UserError


def check_one_to_one(sources: int, classes: int, each: int = 1) -> None:
    """Refuses a mapping that gives every class `each` source classes of its own of too few."""
    if each * classes > sources:
        wanted = "a source class" if each == 1 else f"{each} source classes"
        start = "a one-to-one mapping" if each == 1 else "a mapping without shared source classes"
        fewer = "" if each == 1 else " take a smaller --config.head.sources, or"
        raise UserError(
            f"{start} gives each of the {classes} classes {wanted} of its own, but the backbone has"
            f" only {sources};{fewer} let classes share source classes with"
            " --config.head.many_to_one=True, or choose another head, such as 'bayesian'"
        )


def check_many_to_one(many_to_one: object) -> None:
    """Refuses what is neither True nor False."""
    if not isinstance(many_to_one, bool):
        raise UserError(
            f"many_to_one must be True or False, got {many_to_one!r}; correct"
            " --config.head.many_to_one"
        )


def one_to_one(scores: np.ndarray) -> np.ndarray:
    """Greedy matching: the pair with the largest score first, every class used once.

    This is `greedy` with one source class for each class, as [K].
    """
    return greedy(scores, 1)[:, 0]


def greedy(scores: np.ndarray, each: int) -> np.ndarray:
    """The pair with the largest score first; every source class once, every class `each` times.

    Repeatedly takes the largest remaining score over all pairs of a source class that is free and a
    downstream class that has room; among equal scores the lowest source class, then the lowest
    downstream class. So classes whose remaining scores are all the smallest of the table (no count)
    get the free source classes in order.

    Args:
      scores: [Ks, K], finite numbers.
      each: how many source classes a class gets.

    Returns:
      The source classes of every downstream class, best first, [K, each], int32, all different.

    Raises:
      UserError: there are too few source classes.
    """
    sources, classes = scores.shape
    check_one_to_one(sources, classes, each)
    floor = scores.min()
    by_class = np.array(scores.T, order="C")  # a row holds the scores of one downstream class
    if not np.issubdtype(by_class.dtype, np.floating):
        by_class = by_class.astype(np.float64)
    free = np.ones(sources, bool)
    indices = np.full((classes, each), -1, np.int32)
    taken = np.zeros(classes, int)

    def best(target: int) -> tuple[float, int, int]:
        source = int(by_class[target].argmax())
        return -float(by_class[target, source]), source, target

    # Scores of free pairs only fall away, so a class's best pair is looked for again only when it
    # comes to the top of the heap with a source class that is taken by then.
    heap = [best(target) for target in range(classes)]
    heapq.heapify(heap)
    while heap:
        score, source, target = heap[0]
        if -score <= floor:  # every pair that is left has the same score
            break
        if free[source]:
            indices[target, taken[target]] = source
            taken[target] += 1
            free[source] = False
            by_class[:, source] = -np.inf
        if taken[target] == each:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, best(target))
    left = np.flatnonzero(indices.ravel() < 0)
    indices.ravel()[left] = np.flatnonzero(free)[: left.size]
    return indices


def many_to_one(scores: np.ndarray) -> np.ndarray:
    """The source class with the largest score for every downstream class; they may share one.

    Args:
      scores: [Ks, K], finite numbers.

    Returns:
      [K], int32; among equal scores the lowest source class.
    """
    return scores.argmax(axis=0).astype(np.int32)
