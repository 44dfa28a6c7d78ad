"""Batches read ahead by Grain, in threads of this process or in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

Made = TypeVar("Made")

THREADS = 4
AHEAD = 4
"""Batches that are made before they are asked for; a worker process holds as many again."""


def read_ahead(
    make: Callable[[int], Made], start: int, stop: int, workers: int = 0
) -> Iterator[Made]:
    """Yields `make(start), ..., make(stop - 1)` in order, made ahead of time.

    Args:
      make: a batch from its number. Called in several threads, and in other processes if there are
        workers; a pure function of the number, so that any position can be gone on from.
      start: the first number.
      stop: the one after the last.
      workers: processes; 0 for threads of this one, which suffices where decoding and resizing
        leave Python's lock alone, as Pillow's do.

    Raises:
      Exception: whatever `make` raises, when its turn comes.
    """
    import grain

    dataset = grain.MapDataset.range(start, stop).map(make)
    options = grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=AHEAD)
    ahead: Any = dataset.to_iter_dataset(options)
    if workers:
        from absl import flags

        if not flags.FLAGS.is_parsed():  # Grain reads flags of its own, in notebooks too.
            flags.FLAGS.mark_as_parsed()
        ahead = ahead.mp_prefetch(
            grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=1)
        )
    return iter(ahead)
