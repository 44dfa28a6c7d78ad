"""SIGTERM and Ctrl-C: stop at once while nothing is at stake, at the next step otherwise."""

from __future__ import annotations

import contextlib
import signal
import types
from collections.abc import Callable, Iterator


class Interrupted(BaseException):
    """The program was asked to stop; no error, so that nothing that handles errors handles it.

    Attributes:
      status: what a program ends with that stops for this signal, as shells count: 130 for SIGINT,
        143 for SIGTERM.
    """

    def __init__(self, by: str, number: int = signal.SIGTERM):
        super().__init__(by)
        self.status = 128 + number


class Interrupts:
    """What the signal handlers, the train loop and the command lines tell each other.

    Attributes:
      received: the name of the signal that came, or None.
      number: its number, or 0.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self.number = 0
        self._deferring = False
        self._going_on: Callable[[], str] | None = None

    def install(self) -> None:
        """Handles SIGTERM and SIGINT from now on; a second one stops without saving."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: types.FrameType | None) -> None:
        del frame
        again = self.received is not None
        self.received, self.number = signal.Signals(number).name, number
        if again or not self._deferring:
            raise Interrupted(self.received, number)

    def begin(self, going_on: Callable[[], str] | None = None) -> None:
        """A piece of work begins, which signals stop.

        Args:
          going_on: says, when it has been stopped, from where the same command goes on.

        Raises:
          Interrupted: a signal came at the end of the work before.
        """
        self._deferring, self._going_on = False, going_on
        self._stop_if_received()

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, a signal only sets `received`, for the loop to look at.

        Raises:
          Interrupted: at the end, if a signal came that the loop has not met any more.
        """
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
        self._stop_if_received()

    def let_finish(self) -> None:
        """From now on a first signal changes nothing: the work is about to be done."""
        self._deferring = True

    def going_on(self) -> str:
        """What is left of the work that was stopped, in words."""
        return "the work was not finished" if self._going_on is None else self._going_on()

    def _stop_if_received(self) -> None:
        if self.received is not None:
            raise Interrupted(self.received, self.number)


INTERRUPTS = Interrupts()
