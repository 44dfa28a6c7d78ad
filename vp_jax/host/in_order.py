"""Work done ahead by threads, and handed out in order."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def map_in_order(
    function: Callable[[Given], Made], items: Iterable[Given], ahead: int
) -> Generator[Made]:
    """Yields `function(item)` for each item, in order; the next ones are made meanwhile.

    Args:
      function: called in several threads.
      items: read as they are needed, in the thread that asks for results; may be without an end.
      ahead: how many results are made or kept at most before they are asked for; at least 1.

    Raises:
      Exception: whatever `function` or `items` raise, when its turn comes.
    """
    items = iter(items)
    with ThreadPoolExecutor() as pool:
        waiting: collections.deque[Future[Made]] = collections.deque(
            pool.submit(function, item) for item in itertools.islice(items, ahead)
        )
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in itertools.islice(items, 1))
        finally:
            for future in waiting:
                future.cancel()
