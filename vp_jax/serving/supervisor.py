"""Processes that share a socket: begun again when one dies, stopped together."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from vp_jax.errors import UserError
from vp_jax.serving.counted_together import counting_together, forget

STATUS_USER_ERROR = 2
LONGEST_PAUSE = 30.0
"""Seconds before a process begins again that has died many times before it was ready."""

Work = Callable[[socket.socket, Callable[[], None], int], None]
"""Called in each process: it is given the socket, what it calls when it is ready, and a file that
is at its end when the supervisor has died; it returns after SIGTERM."""


class _Worker:
    """A process, and whether it has said that it is ready."""

    def __init__(self, process: BaseProcess, ready: Connection):
        self.process, self.ready, self._is_ready = process, ready, False

    def events(self) -> list[Any]:
        """What has something to say when it dies or is ready."""
        return [self.process.sentinel, *([] if self.ready.closed else [self.ready])]

    def is_ready(self) -> bool:
        """Whether it has been ready, alive or not."""
        if not self.ready.closed and self.ready.poll():
            with contextlib.suppress(EOFError):  # It has died before.
                self._is_ready = bool(self.ready.recv())
            self.ready.close()
        return self._is_ready


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
      UserError: the address is none of this machine, is in use, or may not be taken.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot listen on {host}, port {port}: {reason}; give another --host or --port"
        ) from error
    return listening


def url(listening: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Supervisor:
    """Keeps a number of processes at work until SIGTERM or Ctrl-C.

    Processes are forked, so call it before anything has started threads. One that dies is followed
    by another at once; one that dies before it was ready, after a pause that grows. When the first
    one of all does not become ready, that is the end.

    Args:
      work: what they do.
      count: how many.
      listening: the socket that they share; it stays open, so that connections which come while one
        is begun again wait for it.
      say: is told what happens, a sentence each.
    """

    def __init__(
        self, work: Work, count: int, listening: socket.socket, say: Callable[[str], None] = print
    ):
        self._work, self._count, self._listening, self._say = work, count, listening, say
        self._workers: list[_Worker] = []
        self._context = multiprocessing.get_context("fork")
        self._alone, self._alive = os.pipe()
        self._stops = 0
        self._pause, self._not_before = 0.0, 0.0

    def run(self) -> int:
        """Returns the exit status: 0 where all that had arrived was answered."""
        with counting_together(), self._signals() as woken:
            self._begin()
            status = self._first(woken)
            if status is not None:
                return status
            self._say(f"serving on {url(self._listening)}")
            while not self._stops:
                self._fill()
                self._wait(woken)
                self._bury()
            return self._stop(woken)

    def _first(self, woken: socket.socket) -> int | None:
        """Waits for the first process; the status with which all ends if it does not get ready."""
        (worker,) = self._workers
        while not worker.is_ready():
            if self._stops:
                return self._stop(woken)
            if not worker.process.is_alive():
                return max(1, worker.process.exitcode or 0)
            self._wait(woken)
        return None

    def _fill(self) -> None:
        """Begins processes that are missing, if it is time."""
        while len(self._workers) < self._count and time.monotonic() >= self._not_before:
            self._begin()

    def _begin(self) -> None:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=self._child, args=(theirs,))
        process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours))

    def _child(self, ready: Connection) -> None:
        os.close(self._alive)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):  # until the server handles them
            signal.signal(number, lambda *_: os._exit(0))
        try:
            self._work(self._listening, lambda: ready.send(True), self._alone)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(STATUS_USER_ERROR)

    def _wait(self, woken: socket.socket) -> None:
        """Until a process dies or is ready, a signal comes, or one may begin again."""
        is_due = self._not_before if len(self._workers) < self._count else None
        timeout = None if is_due is None else max(0.0, is_due - time.monotonic())
        _wait([y for x in self._workers for y in x.events()], woken, timeout)
        for worker in self._workers:
            worker.is_ready()

    def _bury(self) -> None:
        """Takes note of processes that have died."""
        for worker in [x for x in self._workers if not x.process.is_alive()]:
            self._workers.remove(worker)
            worker.process.join()
            forget(worker.process.pid or 0)
            longer = min(max(0.5, 2 * self._pause), LONGEST_PAUSE)
            self._pause = 0.0 if worker.is_ready() else longer
            self._not_before = time.monotonic() + self._pause
            how = f"process {worker.process.pid} has died ({_reason(worker.process.exitcode)})"
            after = f" in {self._pause:g} s" if self._pause else ""
            self._say(f"{how}: another one begins{after}")

    def _stop(self, woken: socket.socket) -> int:
        """Lets all answer what they have; a second signal kills them."""
        self._listening.close()
        for worker in self._workers:
            worker.process.terminate()
        while alive := [x.process for x in self._workers if x.process.is_alive()]:
            if self._stops > 1:
                for process in alive:
                    process.kill()
            _wait([x.sentinel for x in alive], woken)
        self._say("stopped")
        return int(any(x.process.exitcode for x in self._workers))

    @contextlib.contextmanager
    def _signals(self) -> Iterator[socket.socket]:
        """Counts SIGTERM and SIGINT; a socket that has something to read after one."""

        def count(number: int, frame: FrameType | None) -> None:
            del number, frame
            self._stops += 1

        woken, waking = socket.socketpair()
        woken.setblocking(False)
        waking.setblocking(False)
        with woken, waking:
            before = {x: signal.signal(x, count) for x in (signal.SIGTERM, signal.SIGINT)}
            signal.set_wakeup_fd(waking.fileno())
            try:
                yield woken
            finally:
                signal.set_wakeup_fd(-1)
                for number, handler in before.items():
                    signal.signal(number, handler)


def _wait(events: list[Any], woken: socket.socket, timeout: float | None = None) -> None:
    """Until one of some things happens or a signal comes."""
    wait([*events, woken], timeout)
    with contextlib.suppress(BlockingIOError):
        woken.recv(4096)


def _reason(status: int | None) -> str:
    if status is not None and status < 0:
        return signal.Signals(-status).name
    return f"status {status}"
