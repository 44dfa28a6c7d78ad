"""Calls that run in a process of their own, with its own allocator, thread pools and libraries."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from vp_jax.host.memory import keep_freed_memory


class Apart:
    """A function made and called in another process, which waits idly between the calls.

    Attributes:
      first: what making it found.
    """

    def __init__(self, make: Callable[[], tuple[Callable[..., Any], Any]], keep_memory: bool):
        """Starts the process and makes the function there.

        Args:
          make: returns the function and what is to be known of it; is pickled.
          keep_memory: whether `keep_freed_memory` is called before it.

        Raises:
          RuntimeError: it failed; with the traceback from there.
        """
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, make, keep_memory), daemon=True
        )
        self._process.start()
        theirs.close()
        self.first = self._answer()

    def __call__(self, *arguments: Any) -> Any:
        """Calls the function once, and returns what it returns; both are pickled.

        Raises:
          RuntimeError: it failed there.
        """
        self._connection.send(arguments)
        return self._answer()

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join()

    def _answer(self) -> Any:
        try:
            answer, failure = self._connection.recv()
        except EOFError:
            self._process.join()
            status = self._process.exitcode
            raise RuntimeError(f"a process of the benchmark ended, status {status}") from None
        if failure:
            raise RuntimeError(failure)
        return answer


def _serve(connection: Connection, make: Callable[[], Any], keep_memory: bool) -> None:
    if keep_memory:
        keep_freed_memory()
    try:
        call, first = make()
        connection.send((first, None))
        while True:
            arguments = connection.recv()
            connection.send((call(*arguments), None))
    except EOFError:
        return  # The benchmark has what it wanted.
    except Exception:  # Whatever it is, the other side shows it.
        connection.send((None, traceback.format_exc()))
