"""TensorBoard event files, written in this thread, so that a full disk is noticed where it is."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

FLUSH_SECONDS = 10.0


class EventFile:
    """A new event file in a folder, `events.out.tfevents.*`.

    tensorboardX's own `SummaryWriter` writes from another thread and once more when the interpreter
    exits, where an error ends in a traceback; its records and protocol buffers are used here.
    """

    def __init__(self, folder: pathlib.Path, purge_step: int | None = None):
        """Opens the file.

        Args:
          folder: made where it is missing; may hold files of earlier starts of the run.
          purge_step: TensorBoard drops what those files say of this step and later ones.

        Raises:
          OSError: it cannot be written.
        """
        with _torch_hidden():
            from tensorboardX.proto.event_pb2 import SessionLog
            from tensorboardX.record_writer import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"
        count = len(list(folder.glob(f"{name}*")))  # that this process has begun in this second
        self._records = RecordWriter(str(folder / f"{name}.{count}"))
        self._flushed = time.monotonic()
        self._write(file_version="brain.Event:2")
        if purge_step is not None:
            self._write(step=purge_step, session_log=SessionLog(status=SessionLog.START))

    def _write(self, **fields: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._records.write(Event(wall_time=time.time(), **fields).SerializeToString())

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Writes named numbers of one step; on disk after `FLUSH_SECONDS` at the next call.

        Raises:
          OSError: there is no space for them.
        """
        from tensorboardX.summary import scalar

        for name, value in values.items():
            self.add_summary(step, scalar(name, value))
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._records.flush()
            self._flushed = time.monotonic()

    def add_summary(self, step: int, summary: Any) -> None:
        """Writes a summary of one step, as TensorBoard's protocol buffers have it.

        Raises:
          OSError: there is no space for it.
        """
        self._write(step=step, summary=summary)

    def close(self) -> None:
        """Writes out what is buffered.

        Raises:
          OSError: there is no space for it; the file is closed all the same.
        """
        self._records.close()


@contextlib.contextmanager
def _torch_hidden() -> Iterator[None]:
    """Where tensorboardX is imported: it would load PyTorch too, which takes a second and more."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment] # which Python takes for missing
    try:
        yield
    finally:
        del sys.modules["torch"]
