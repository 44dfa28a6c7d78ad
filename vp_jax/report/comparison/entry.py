"""A run as it is compared."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vp_jax.data.tasks.contents import Contents
from vp_jax.errors import UserError
from vp_jax.records import predictions_file, record
from vp_jax.records import workdir as workdir_lib
from vp_jax.records.metrics import read_metrics
from vp_jax.records.predictions_file import OnTest


class Entry(NamedTuple):
    """A finished run.

    Attributes:
      name: that tells it from the others.
      workdir: of it.
      result: its `result.json`.
      rows: of its `metrics.jsonl`.
      tested: its predictions on test; None where it has not kept them.
      contents: what its test images are; None where that is not known.
    """

    name: str
    workdir: pathlib.Path
    result: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    tested: OnTest | None
    contents: Contents | None

    @property
    def right(self) -> np.ndarray:
        """Which test images it has right, bool `[N]`."""
        assert self.tested is not None
        return np.equal(self.tested.tuned.predictions, self.tested.labels)


def read_entry(workdir: pathlib.Path, name: str) -> Entry:
    """Reads a run from its folder.

    Raises:
      UserError: there is no finished run, or something of it is damaged.
    """
    workdir_lib.read_settings(workdir)
    result = workdir_lib.read_result(workdir)
    if result is None or "test_accuracy" not in result:
        raise UserError(
            f"the run in {workdir} has not ended, so there is nothing to compare yet; give the "
            "command that began it again"
        )
    return entry_of(workdir, name, result)


def entry_of(workdir: pathlib.Path, name: str, result: Mapping[str, Any]) -> Entry:
    """A run whose `result.json`, written or not yet, holds this."""
    return Entry(
        name,
        workdir,
        result,
        read_metrics(workdir),
        predictions_file.read(workdir),
        record.kept_contents(workdir, "test"),
    )


def names_of(workdirs: Sequence[pathlib.Path]) -> list[str]:
    """What tells folders apart: as few of the last parts of their paths as do.

    >>> names_of([pathlib.Path("runs/a/0"), pathlib.Path("runs/b/0")])
    ['a/0', 'b/0']
    """
    parts = [path.absolute().parts for path in workdirs]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-count:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    raise UserError("a run is given twice; give each once")
