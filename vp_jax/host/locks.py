"""Locks of files, where the disk has them."""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import pathlib
import re
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


LOCKS = pathlib.Path("/proc/locks")
"""Where Linux lists the locks of this machine, a line each, with the number of the file."""
_OF_LOCKS = re.compile(r"\d+: FLOCK +\S+ +WRITE +(\d+) +([0-9a-f]+):([0-9a-f]+):(\d+) ")


class Locked:
    """The files that processes of this machine have locked by `lock`, as they were when asked.

    Nothing is opened, locked or written. Locks that other machines hold on a disk that is shared
    are not seen, and none is where the system does not list them.
    """

    def __init__(self) -> None:
        try:
            lines = LOCKS.read_text().splitlines()
        except OSError:
            lines = []
        found = filter(None, map(_OF_LOCKS.match, lines))
        self._by_number: dict[int, list[tuple[int, int]]] = {}
        for match in found:
            device = os.makedev(int(match[2], 16), int(match[3], 16))
            self._by_number.setdefault(int(match[4]), []).append((int(match[1]), device))

    def __contains__(self, path: pathlib.Path) -> bool:
        """Whether a file was locked; False where it is not there."""
        if not self._by_number:
            return False
        try:
            about = path.stat()
        except OSError:
            return False
        holders = self._by_number.get(about.st_ino, ())
        return any(device == about.st_dev or _opened(process, path) for process, device in holders)


def _opened(process: int, path: pathlib.Path) -> bool:
    """Whether a process has a file open: some disks have other devices than their locks say."""
    try:
        each = os.scandir(f"/proc/{process}/fd")
    except OSError:
        return False
    with each:
        return any(os.path.samefile(entry.path, path) for entry in each if os.path.exists(entry))
