"""Test images of runs, from the data of one of them."""

from __future__ import annotations

import numpy as np

from vp_jax import data
from vp_jax.data.tasks import contents as contents_lib
from vp_jax.report.comparison.entry import Entry
from vp_jax.report.comparison.page import Images


def images_of(task: data.TaskData) -> Images:
    """Reads the test images of all runs that were tested on those of a task."""
    known = task.contents.get("test")

    def read(entry: Entry, rows: np.ndarray) -> np.ndarray | None:
        if known is None or entry.contents is None:
            return None
        if not contents_lib.are_told_apart(known, entry.contents):
            return None
        places = contents_lib.aligned(entry.contents, known)
        if places is None:
            return None
        return np.asarray(task.test.take(places[rows]).unprompted().images)

    return read
