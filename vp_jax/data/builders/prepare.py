"""Preparing the datasets of our own builders so that no other process ever sees half of one."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pathlib
import tempfile
from typing import Any

from vp_jax.errors import UserError, unknown

MODULES = {
    "vp_digits": "digits",
    "vp_camelyon17": "camelyon17",
    "vp_fmow": "fmow",
    "vp_iwildcam": "iwildcam",
    "vp_ucf101": "ucf101",
}
"""The module of this package that defines the builder of each name."""


def prepare(name: str, data_dir: pathlib.Path, manual_dir: pathlib.Path | None = None) -> None:
    """Prepares the dataset `name` under `data_dir` in tfds's array_record format.

    It is written into a new folder of its own and renamed into place when complete, so a killed
    process leaves nothing that could be taken for the dataset, and of several processes at once
    the first wins and the others use its copy.

    Args:
      name: of one of our builders, a key of `MODULES`.
      data_dir: the folder of all prepared datasets.
      manual_dir: where the files lie that the dataset is made of; None if it is made of nothing,
        and then silently.

    Raises:
      UserError: `data_dir` cannot be written, scikit-learn is missing, no builder has that name, or
        the files are not in `manual_dir`, or not what they should be.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix="incomplete.", dir=data_dir, ignore_cleanup_errors=True
        ) as staging:
            if manual_dir is None:
                built = _generate(name, staging)
            else:
                built = _convert(name, staging, manual_dir)
            target = data_dir / built.relative_to(staging)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.rename(built, target)
            except OSError:
                if not (target / "dataset_info.json").exists():
                    raise
    except OSError as e:
        raise UserError(
            f"the dataset {name!r} cannot be written to {data_dir}: {e}. "
            "Remove what is in the way, or name another folder with --config.task.data_dir=DIR"
        ) from e


def _generate(name: str, data_dir: str) -> pathlib.Path:
    try:
        import sklearn  # noqa: F401
    except ImportError as e:
        raise UserError(f"the dataset {name!r} needs scikit-learn: pip install scikit-learn") from e
    builder = _builder(name, data_dir)
    # tfds announces a download and shows bars for what takes a second and downloads nothing.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        builder.download_and_prepare()
    return pathlib.Path(builder.data_dir)


def _convert(name: str, data_dir: str, manual_dir: pathlib.Path) -> pathlib.Path:
    import tensorflow_datasets as tfds

    builder = _builder(name, data_dir)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=os.fspath(manual_dir))
    )
    return pathlib.Path(builder.data_dir)


def _builder(name: str, data_dir: str) -> Any:
    import tensorflow_datasets as tfds

    module, _, _ = name.partition("/")
    if module not in MODULES:
        raise unknown("dataset of our own builders", module, MODULES)
    importlib.import_module(f"vp_jax.data.builders.{MODULES[module]}")  # It registers the builder.
    return tfds.builder(name, data_dir=data_dir, file_format="array_record")
