"""Compares finished runs, from their folders."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from vp_jax.assembly.setup import setup_again
from vp_jax.errors import UserError
from vp_jax.host import files
from vp_jax.report.comparison.entry import Entry, names_of, read_entry
from vp_jax.report.comparison.images import images_of
from vp_jax.report.comparison.page import Images, comparison
from vp_jax.report.page.render import write

MOST = 40
"""Runs on a page."""


def compare(
    workdirs: Sequence[str | pathlib.Path],
    out: str | pathlib.Path,
    weights: str | None = None,
    data_dir: str | None = None,
    read_data: bool = True,
) -> str:
    """Writes a page that compares runs.

    Args:
      workdirs: of two finished runs or more; members of a sweep are such too.
      out: the file.
      weights: where the weights of the first run's backbone are now, if not where they were.
      data_dir: likewise for its data.
      read_data: whether test images are read, from the data of the first run.

    Returns:
      What is not on the page, a sentence; empty if nothing is missing.

    Raises:
      UserError: fewer than two runs, one twice, or one that has not ended or cannot be read.
    """
    folders = [files.expanded(workdir) for workdir in workdirs]
    if not 2 <= len(folders) <= MOST:
        raise UserError(
            f"{len(folders)} runs are given; name 2 to {MOST} workdirs, one after the other"
        )
    names = names_of(folders)
    entries = [read_entry(folder, name) for folder, name in zip(folders, names, strict=True)]
    images, note = _images(entries, weights, data_dir) if read_data else (None, "")
    page = comparison(entries, f"{len(entries)} runs compared", images, note)
    write(files.expanded(out), page)
    return note


def _images(
    entries: Sequence[Entry], weights: str | None, data_dir: str | None
) -> tuple[Images | None, str]:
    """Reads images where two runs can be compared image by image; else says why not."""
    if sum(entry.tested is not None for entry in entries) < 2:
        return None, ""
    try:
        return images_of(setup_again(entries[0].workdir, weights, data_dir).task), ""
    except UserError as error:
        return None, f"No test images are shown, since they could not be read: {error}"
