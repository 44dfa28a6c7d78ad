"""The folder in which the processes of a server count together; imports no library for it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Names it to prometheus_client, which looks when it is imported."""


@contextlib.contextmanager
def counting_together() -> Iterator[None]:
    """Processes that begin in this block count together."""
    before = os.environ.get(FOLDER)
    with tempfile.TemporaryDirectory(prefix="vp_jax_metrics") as folder:
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ[FOLDER]
            else:
                os.environ[FOLDER] = before


def forget(process: int) -> None:
    """What a process held that has died is held no more; what it has counted stays."""
    for file in pathlib.Path(os.environ[FOLDER]).glob(f"gauge_live*_{process}.db"):
        file.unlink(missing_ok=True)
