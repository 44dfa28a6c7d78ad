"""Files that threads and processes read at any place, at the same time."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import tempfile
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

from vp_jax.errors import UserError


class RandomFile:
    """A file that is read by place; opened when it is first needed, in each process anew.

    Several threads may read at once. May be pickled: the path is what travels, no open file.
    """

    def __init__(self, path: pathlib.Path):
        self._path = path
        self._reset()

    def _reset(self) -> None:
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()

    def read(self, size: int, offset: int) -> bytes:
        """Exactly `size` bytes from `offset` on.

        Raises:
          OSError: the file cannot be read.
          EOFError: it ends before.
        """
        number = self._opened().fileno()
        parts, missing = [], size
        while missing:
            part = os.pread(number, missing, offset + size - missing)
            if not part:
                raise EOFError("the file ends too soon")
            parts.append(part)
            missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _opened(self) -> BinaryIO:
        with self._lock:
            if self._file is None:
                self._file = self._open()
            return self._file

    def _open(self) -> BinaryIO:
        return open(self._path, "rb", buffering=0)

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()


class TemporaryCopy(RandomFile):
    """What a function writes, in a temporary file without a name: it goes when its process does.

    Where the system shows the open files of a process under `/proc`, a copy that was pickled reads
    the same file as long as the process that wrote it lives; elsewhere it writes one of its own.

    Attributes:
      path: the file that the content is from, for messages.
      write: writes the content to the binary file that it is called with; it is pickled too.
    """

    def __init__(self, path: pathlib.Path, write: Callable[[BinaryIO], None]):
        super().__init__(path)
        self._write = write
        self._shared: tuple[str, tuple[int, ...]] | None = None
        self._file = self._open()

    def reader(self) -> BinaryIO:
        """A file object at the beginning; there may be only one at a time, since they share it."""
        file = open(self._opened().fileno(), "rb", closefd=False)
        file.seek(0)
        return file

    def _open(self) -> BinaryIO:
        return self._reopened() or self._written()

    def _reopened(self) -> BinaryIO | None:
        if self._shared is None:
            return None
        link, identity = self._shared
        try:
            file = open(link, "rb", buffering=0)
        except OSError:
            return None
        if _identity(file) == identity:
            return file
        file.close()  # That process has ended, and another one has its number.
        return None

    def _written(self) -> BinaryIO:
        file = tempfile.TemporaryFile()
        try:
            self._write(file)
            file.flush()
        except OSError as e:
            with contextlib.suppress(OSError):  # It would write the rest.
                file.close()
            if e.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise UserError(
                f"the disk is full: {self._path} is decompressed into {tempfile.gettempdir()}. "
                "Free some space, name another folder in the environment variable TMPDIR, or "
                "decompress it yourself"
            ) from e
        return file

    def __getstate__(self) -> dict[str, Any]:
        shared = self._shared
        if self._file is not None:
            shared = (f"/proc/{os.getpid()}/fd/{self._file.fileno()}", _identity(self._file))
        return {"_path": self._path, "_write": self._write, "_shared": shared}


def _identity(file: BinaryIO) -> tuple[int, ...]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
