"""Locks of files, where the disk has them."""

from __future__ import annotations

import errno
import fcntl
import functools
from typing import IO, Any

from absl import logging


def lock(file: IO[Any]) -> bool | None:
    """Locks an open file for this process, until it is closed.

    Returns:
      True; False where another process has locked it; None where the disk has no locks, as those
      of some clusters, which is said once.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
            return False
        _warn_of_no_locks(error.strerror or str(error))
        return None
    return True


@functools.cache
def _warn_of_no_locks(reason: str) -> None:
    logging.warning(
        "files cannot be locked on this disk (%s), so nothing keeps two processes from working in "
        "one folder: start only one in each",
        reason,
    )
