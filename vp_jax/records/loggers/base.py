"""What every logger does, and what it is told at the beginning and at the end of a run."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol


class About(NamedTuple):
    """Which run is followed.

    Attributes:
      workdir: its folder.
      name: what people see.
      group: the sweep that it is of; empty for none.
      settings: its hyper-parameters, by dotted names.
      id: by which an earlier start of the run is known; empty for none.
    """

    workdir: pathlib.Path
    name: str
    group: str = ""
    settings: Mapping[str, Any] = {}
    id: str = ""


class Conclusion(NamedTuple):
    """What a run came to.

    Attributes:
      step: after which it ended.
      rows: of metrics that it has written.
      settings: its hyper-parameters, by dotted names.
      scores: by names such as `final/test`.
      pictures: PNG files by what they show.
    """

    step: int
    rows: int
    settings: Mapping[str, Any]
    scores: Mapping[str, float]
    pictures: Mapping[str, pathlib.Path]


class Logger(Protocol):
    """Follows one run, in one process, from one of its starts to the end of that.

    Attributes:
      id: by which a later start goes on with it, as text that JSON holds.
    """

    id: str

    def write(self, number: int, step: int, values: Mapping[str, float]) -> None:
        """Takes a row of metrics, as `metrics.jsonl` has it in this line, from 0.

        After a kill some numbers come again, with the same steps and values.
        """

    def conclude(self, end: Conclusion) -> None:
        """Takes what the run came to."""

    def close(self, finished: bool) -> None:
        """Hands on all that it has; the run is finished, or was stopped."""
