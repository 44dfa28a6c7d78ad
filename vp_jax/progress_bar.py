"""Progress bars over images, which do not flood log files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tqdm

EVERY_SECONDS = 0.2  # on a terminal
EVERY_SECONDS_IN_FILES = 30.0


def progress_bar(total: int, desc: str, **more: Any) -> tqdm.tqdm:
    """A bar on stderr that counts images.

    Args:
      total: number of images.
      desc: what is done with them.
      **more: further arguments of `tqdm.tqdm`.
    """
    import tqdm

    every = EVERY_SECONDS if sys.stderr.isatty() else EVERY_SECONDS_IN_FILES
    return tqdm.tqdm(total=total, desc=desc, unit=" images", mininterval=every, **more)
