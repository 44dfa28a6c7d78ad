"""Progress bars over images, which do not flood log files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tqdm

EVERY_SECONDS = 0.2  # on a terminal
EVERY_SECONDS_IN_FILES = 30.0


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
