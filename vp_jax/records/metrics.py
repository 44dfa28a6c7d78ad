"""Metrics of a run: JSON lines and TensorBoard event files, both cut back when a run resumes."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from vp_jax import distributed
from vp_jax.host import files
from vp_jax.records.event_file import EventFile
from vp_jax.records.loggers.following import NOBODY, Followers
from vp_jax.records.names import METRICS, TENSORBOARD


def read_metrics(workdir: pathlib.Path, up_to_step: int | None = None) -> list[dict[str, Any]]:
    """The rows written so far, up to a line that was cut off by a kill or a power cut.

    Args:
      workdir: the run's folder.
      up_to_step: leave out rows of later steps.
    """
    path = workdir / METRICS
    rows = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict) or not isinstance(row.get("step"), int):
            break
        if up_to_step is None or row["step"] <= up_to_step:
            rows.append(row)
    return rows


class Metrics:
    """Writes rows of metrics, one a step, to `metrics.jsonl`, to TensorBoard and to followers.

    Rows of steps after `step`, where the run goes on, are of work that was lost; they are removed.
    At -1 it begins.
    Of several processes only the main one writes.
    """

    def __init__(self, workdir: pathlib.Path, step: int, followers: Followers = NOBODY):
        self._followers = followers
        self._writes = distributed.is_main()
        if not self._writes:
            return
        rows = read_metrics(workdir, up_to_step=step)
        self._number = len(rows)
        path = workdir / METRICS
        kept = "".join(json.dumps(row) + "\n" for row in rows)
        files.write(path, lambda file: file.write(kept.encode()))
        self._file = path.open("a")
        self._board = EventFile(workdir / TENSORBOARD, purge_step=step + 1 if step >= 0 else None)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Writes one row; `values` maps names such as `train/loss` to numbers.

        Raises:
          OSError: there is no space for it.
        """
        if not self._writes:
            return
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        self._board.add(step, values)
        self._followers.write(self._number, step, values)
        self._number += 1

    def sync(self) -> None:
        """Returns when the rows written so far are on disk.

        Raises:
          OSError: there is no space for them.
        """
        if self._writes:
            files.sync(self._file)

    def close(self) -> None:
        """Writes out what is buffered.

        Raises:
          OSError: there is no space for it; both files are closed all the same.
        """
        if not self._writes:
            return
        try:
            try:
                if not self._file.closed:
                    files.sync(self._file)
            finally:
                self._file.close()
        finally:
            self._board.close()
