"""A server of `vp_jax.serve` in processes of its own, for experiments with clients."""

from __future__ import annotations

import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from types import TracebackType

import psutil

ROOT = pathlib.Path(__file__).parents[1]


class Server:
    """`python -m vp_jax.serve`, from the block's begin to its end.

    Args:
      workdir: of a run, or a bundle.
      *arguments: further flags.

    Attributes:
      url: where it listens.
      process: its first process.
    """

    def __init__(self, workdir: str, *arguments: str):
        self._command = (*("-m", "vp_jax.serve", f"--workdir={workdir}", "--port=0"), *arguments)

    def __enter__(self) -> Server:
        command = [sys.executable, *self._command]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.fullmatch(r"serving on (http://\S+)\n", line)
        if not found:
            raise RuntimeError(f"the server did not begin: {line}")
        self.url = found[1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(120) and error is None:
            raise RuntimeError(f"the server ended with status {self.process.returncode}")

    def workers(self) -> list[psutil.Process]:
        """Its processes that answer, oldest first."""
        return sorted(psutil.Process(self.process.pid).children(), key=lambda x: x.create_time())

    def memory(self) -> int:
        """Bytes that they have in memory, of their own."""
        return sum(memory_of(self.workers()))


def memory_of(processes: list[psutil.Process]) -> Iterator[int]:
    """Bytes that each process has in memory and shares with none."""
    for process in processes:
        yield process.memory_full_info().uss


def percentile(values: list[float], share: float) -> float:
    """The value below which a share of them lies; not a number where there are none."""
    if not values:
        return float("nan")
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
