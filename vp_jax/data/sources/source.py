"""A task's dataset, whatever its format: of tfds, an `.npz` file, a folder, or CoOp's files."""

from __future__ import annotations

import os
import pathlib

from vp_jax.data import tasks
from vp_jax.data.sources import coop as coop_source
from vp_jax.data.sources import folder as folder_source
from vp_jax.data.sources import npz as npz_source
from vp_jax.data.sources import tfds as tfds_source
from vp_jax.data.tasks.classes import Classes
from vp_jax.data.tasks.examples import Source
from vp_jax.data.tasks.task import Task
from vp_jax.errors import UserError
from vp_jax.host import files

_OWN_DATA = {
    "npz": npz_source.CONTENT,
    "folder": folder_source.CONTENT,
}
"""For formats of the user's own data: what `data_dir` must name."""


def read(
    task: Task,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    download: bool = True,
    test_fraction: float = 0.2,
    splits: str = "official",
    classes: Classes | None = None,
) -> Source:
    """Opens a task's dataset; `tfds`, `npz`, `folder` and `coop` beside this file say how.

    Args:
      task: what to read.
      data_dir: for tfds the folder of all prepared datasets, for an `.npz` file the file or its
        folder, for a folder of images the folder, an archive of it or a CSV, for CoOp's splits the
        folder of CoOp's datasets. By default `$TFDS_DATA_DIR`, else `~/tensorflow_datasets`; the
        user's own data have no default.
      download: whether a missing dataset of tfds may be downloaded.
      test_fraction: the share of a folder of images that becomes the test split, in (0, 1), if the
        folder has none of its own.
      splits: `"official"`, or `"coop"` for CoOp's split files; their classes have names of their
        own, so whoever wants those takes `tasks.with_splits(task, splits)` for the task.
      classes: those of a run. A folder of images then has them in their order; for others see
        `classes.order`.

    Raises:
      UserError: the dataset is missing, with what to do about it; or it cannot be read, or has not
        what the task needs; or the splits are unknown, or are none of the task.
    """
    task = tasks.with_splits(task, splits)
    if not data_dir and task.format in _OWN_DATA and task.file is None:
        raise UserError(
            f"the task {task.name!r} is about your own data: name them with "
            f"--config.task.data_dir=PATH, {_OWN_DATA[task.format]}"
        )
    root = default_root(data_dir)
    if task.format == "npz":
        return npz_source.read(task, root)
    if task.format == "folder":
        return folder_source.read(task, root, test_fraction, classes)
    if task.format == "coop":
        return coop_source.read(task, root)
    return tfds_source.read(task, root, download=download)


def default_root(data_dir: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """Where datasets are looked for: `data_dir`, else `$TFDS_DATA_DIR`, else tfds's own folder.

    Raises:
      UserError: it is in the home folder of a user who has none.
    """
    root = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    try:
        return files.expanded(root).absolute()
    except UserError:
        raise UserError(
            f"the data are to be in {root}, and this user has no home folder: set HOME, or name "
            "the folder of the datasets with TFDS_DATA_DIR=DIR"
        ) from None
