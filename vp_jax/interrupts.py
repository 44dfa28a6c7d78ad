"""SIGTERM and Ctrl-C: stop at once while nothing is at stake, at the next step otherwise."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


class Interrupted(BaseException):
    """The program was asked to stop; no error, so that nothing that handles errors handles it."""


class Interrupts:
    """What the signal handlers and the train loop tell each other."""

    def __init__(self):
        self.received: str | None = None
        self._deferring = False

    def install(self) -> None:
        """Handles SIGTERM and SIGINT from now on; a second one stops without saving."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame) -> None:
        del frame
        again = self.received is not None
        self.received = signal.Signals(number).name
        if again or not self._deferring:
            raise Interrupted(self.received)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, a signal only sets `received`, for the loop to look at."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False


INTERRUPTS = Interrupts()
