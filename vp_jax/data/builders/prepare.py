"""Preparing a generated dataset so that no other process ever sees half of it."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import tempfile

from vp_jax.errors import UserError, unknown


def prepare(name: str, data_dir: pathlib.Path) -> None:
    """Generates the dataset `name` under `data_dir`.

    It is written into a new folder of its own and renamed into place when complete, so a killed
    process leaves nothing that could be taken for the dataset, and of several processes at once
    the first wins and the others use its copy.

    Raises:
      UserError: `data_dir` cannot be written, scikit-learn is missing, or no builder has that name.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix="incomplete.", dir=data_dir, ignore_cleanup_errors=True
        ) as staging:
            built = _generate(name, staging)
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
    from vp_jax.data.builders import digits

    builders = {digits.Digits.name: digits.Digits}
    if name not in builders:
        raise unknown("generated dataset", name, builders)
    builder = builders[name](data_dir=data_dir, file_format="array_record")
    # tfds announces a download and shows bars for what takes a second and downloads nothing.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        builder.download_and_prepare()
    return pathlib.Path(builder.data_dir)
