"""Progress bars over images, and words for other waits, which do not flood log files."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tqdm

EVERY_SECONDS = 0.2  # on a terminal
EVERY_SECONDS_IN_FILES = 30.0
PATIENCE_SECONDS = 2.0
"""A wait that is over before is not worth a word."""


def progress_bar(
    total: int | None, desc: str, disable: bool = False, unit: str = " images", **more: Any
) -> tqdm.tqdm[Any]:
    """A bar on stderr that counts images; of several processes the main one has it.

    Args:
      total: number of images; None where nobody knows.
      desc: what is done with them.
      disable: show nothing.
      unit: what else is counted.
      **more: further arguments of `tqdm.tqdm`.
    """
    import tqdm

    from vp_jax import distributed

    every = EVERY_SECONDS if sys.stderr.isatty() else EVERY_SECONDS_IN_FILES
    silent = disable or not distributed.is_main()
    return tqdm.tqdm(total=total, desc=desc, unit=unit, mininterval=every, disable=silent, **more)


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Says what is waited for, once, if the context takes longer than `PATIENCE_SECONDS`.

    A line on stderr, above the bar that may be there; of several processes the main one's.

    Args:
      what: is done meanwhile, such as "loading clip_vit_b32".
    """
    import tqdm

    from vp_jax import distributed

    if not distributed.is_main():
        yield
        return
    said = threading.Timer(PATIENCE_SECONDS, tqdm.tqdm.write, [f"{what} ...", sys.stderr])
    said.daemon = True
    said.start()
    try:
        yield
    finally:
        said.cancel()
