"""Gathers what many ask for one by one into batches of fixed shapes."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Generic, NamedTuple, TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")

LEAST_FILLED = 0.75
"""A shape is taken for fewer items than it has room for if they fill this share of it."""


def shape_for(waiting: int, shapes: Sequence[int]) -> int:
    """The size of the next batch.

    The smallest that holds all that wait, if they fill three quarters of it; otherwise the largest
    that they fill, so that little is computed on padding, and the rest is the batch after it.

    Args:
      waiting: how many items, at least 1.
      shapes: sizes that may be computed, ascending.

    >>> [shape_for(n, (1, 2, 4, 8)) for n in (1, 2, 3, 4, 5, 6, 9)]
    [1, 2, 4, 4, 4, 8, 8]
    """
    holding = next((size for size in shapes if size >= waiting), shapes[-1])
    if waiting >= LEAST_FILLED * holding:
        return holding
    return max((size for size in shapes if size <= waiting), default=shapes[0])


class _Job(NamedTuple, Generic[Given, Made]):
    lane: str
    item: Given
    answer: Future[Made]


class Batcher(Generic[Given, Made]):
    """A thread that computes batches of what waits, the oldest first, as soon as it is free.

    While one batch is computed the next gathers. An item that nobody waits for any more, whose
    future was cancelled, is in no batch. It does not bound how much waits: see `admission`.

    Args:
      compute: `compute(lane, items, size)` gives a result for each item, in order; there are at
        most `size`. What it raises is the result of all of them.
      shapes: by lane, the sizes of its batches, ascending. Items of several lanes are never in one
        batch.
      on_batch: is told the lane, how many items a batch has, and its size.
    """

    def __init__(
        self,
        compute: Callable[[str, Sequence[Given], int], Sequence[Made]],
        shapes: Mapping[str, Sequence[int]],
        on_batch: Callable[[str, int, int], None] = lambda lane, count, size: None,
    ):
        self._compute, self._shapes, self._on_batch = compute, shapes, on_batch
        self._jobs: collections.deque[_Job[Given, Made]] = collections.deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="batches", daemon=True)
        self._thread.start()

    def submit(self, lane: str, item: Given) -> Future[Made]:
        """Asks for the result of one item; to be had from the future, or cancelled there.

        Raises:
          RuntimeError: it has been stopped.
        """
        answer: Future[Made] = Future()
        with self._changed:
            if self._stopping:
                raise RuntimeError("no more batches are computed")
            self._jobs.append(_Job(lane, item, answer))
            self._changed.notify()
        return answer

    def stop(self) -> None:
        """Computes what waits, and ends the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while taken := self._take():
            batch, size = taken
            try:
                made = self._compute(batch[0].lane, [job.item for job in batch], size)
                for job, one in zip(batch, made, strict=True):
                    job.answer.set_result(one)
            except Exception as error:
                for job in batch:
                    if not job.answer.done():
                        job.answer.set_exception(error)
            del batch, taken

    def _take(self) -> tuple[list[_Job[Given, Made]], int] | None:
        """The next batch and its size, when there is one; None when all is done."""
        with self._changed:
            while True:
                self._jobs = collections.deque(x for x in self._jobs if not x.answer.cancelled())
                if self._jobs:
                    batch, size = self._oldest()
                    if batch:
                        break
                elif self._stopping:
                    return None
                else:
                    self._changed.wait()
        self._on_batch(batch[0].lane, len(batch), size)
        return batch, size

    def _oldest(self) -> tuple[list[_Job[Given, Made]], int]:
        """Removes a batch of the oldest item's lane; those cancelled meanwhile are left out."""
        lane = self._jobs[0].lane
        mates = [job for job in self._jobs if job.lane == lane]
        size = shape_for(len(mates), self._shapes[lane])
        taken = mates[:size]
        chosen = set(map(id, taken))
        self._jobs = collections.deque(x for x in self._jobs if id(x) not in chosen)
        return [job for job in taken if job.answer.set_running_or_notify_cancel()], size
