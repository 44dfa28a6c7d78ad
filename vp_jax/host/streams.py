"""Standard streams that never end a program: closed ones, readers that leave, narrow encodings."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_NOBODY_READS = (errno.EPIPE, errno.EIO, errno.EBADF)  # the reader has left, the terminal is gone


class _Forgiving(io.FileIO):
    """A descriptor to write to; what nobody can read any more is dropped.

    What cannot be written to a full disk is an error once on stdout, and dropped on stderr, whose
    messages must not end a run.
    """

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except OSError as error:
            unread = error.errno in _NOBODY_READS
            if unread or self.fileno() == 1:  # Later writes, also of C++, go nowhere.
                with open(os.devnull, "wb") as nowhere:
                    os.dup2(nowhere.fileno(), self.fileno())
            if not unread and self.fileno() == 1:
                what = "the output of this command"
                raise OSError(error.errno, error.strerror, what) from error
            return memoryview(data).nbytes


def mend() -> None:
    """Makes stdin, stdout and stderr such that printing never fails, but for a full disk.

    Those that are closed become empty, so that no file that is opened later takes their number and
    is written into by mistake. What an encoding has not is written as `\\N` codes.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)  # It may well get the number itself.
            os.dup2(nowhere, number)
            if nowhere != number:
                os.close(nowhere)
    sys.stdin = sys.stdin or open(0, closefd=False)
    sys.stdout = _mended(sys.stdout, 1)
    sys.stderr = _mended(sys.stderr, 2)
    logging = sys.modules.get("absl.logging")
    if logging is not None:  # It may have been imported with the old one.
        logging.get_absl_handler().python_handler.stream = sys.stderr


def _mended(stream: TextIO | None, number: int) -> TextIO:
    """The stream of a descriptor, in the encoding it had; a stream of another kind as it is."""
    if stream is not None:
        try:
            if stream.fileno() != number or not isinstance(stream, io.TextIOWrapper):
                return stream
            stream.flush()
        except (AttributeError, OSError, ValueError):
            return stream
    raw = _Forgiving(number, "wb", closefd=False)
    buffered = stream is None or not stream.write_through
    return io.TextIOWrapper(
        io.BufferedWriter(raw) if buffered else raw,
        encoding=stream.encoding if stream is not None else "utf-8",
        errors="backslashreplace",
        line_buffering=number == 2 or raw.isatty(),
        write_through=not buffered,
    )
