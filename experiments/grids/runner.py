"""Makes the runs of a grid, some cells beside each other, each in a process of its own."""

from __future__ import annotations

import concurrent.futures
import pathlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from experiments.grids.trial import Trial
from vp_jax.host.progress_bar import progress_bar

LOG = "log.txt"
STOPPED = (130, 143, -signal.SIGINT, -signal.SIGTERM)


class Failure(NamedTuple):
    """A cell that did not come to its end.

    Attributes:
      key: of the trial.
      reason: the last line that it said, or the signal that ended it.
      log: the file with all that it said.
    """

    key: str
    reason: str
    log: pathlib.Path


def run_all(
    trials: Sequence[Trial],
    folder: pathlib.Path,
    workers: int,
    command: Callable[[Trial], Sequence[str]],
) -> list[Failure]:
    """Runs the command of every trial; what fails is told at the end and stops nothing.

    Args:
      trials: to make, in order.
      folder: for the logs, and where the runs are kept.
      workers: processes at a time.
      command: the arguments of Python that make a trial and return when all is saved.

    Raises:
      KeyboardInterrupt: the processes were told to save and have ended.
    """
    children: dict[str, subprocess.Popen[bytes]] = {}
    stopping = threading.Event()

    def make(trial: Trial) -> Failure | None:
        own = folder / trial.key
        own.mkdir(parents=True, exist_ok=True)
        if stopping.is_set():
            return None
        with open(own / LOG, "ab") as log:
            child = subprocess.Popen(
                [sys.executable, *command(trial)], stdout=log, stderr=log, start_new_session=True
            )
            children[trial.key] = child
            status = child.wait()
        del children[trial.key]
        if status == 0 or (stopping.is_set() and status in STOPPED):
            return None
        return Failure(trial.key, _reason(status, own / LOG), own / LOG)

    failures = []
    with (
        concurrent.futures.ThreadPoolExecutor(workers) as pool,
        progress_bar(len(trials), "running", unit=" cells") as bar,
    ):
        pending = [pool.submit(make, trial) for trial in trials]
        try:
            for done in concurrent.futures.as_completed(pending):
                failure = done.result()
                failures += [failure] if failure else []
                bar.update(1)
        except KeyboardInterrupt:
            stopping.set()
            for future in pending:
                future.cancel()
            for child in list(children.values()):
                child.send_signal(signal.SIGTERM)
            raise
    return failures


def _reason(status: int, path: pathlib.Path) -> str:
    """Why a process ended: the signal that it got, or the last line that it said."""
    if status == -signal.SIGKILL:
        return "it was killed, perhaps for want of memory: try fewer --workers"
    if status < 0:
        return f"it ended by {signal.Signals(-status).name}"
    text = path.read_text(errors="replace").replace("\r", "\n")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else f"status {status}"
