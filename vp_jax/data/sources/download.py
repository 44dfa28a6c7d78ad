"""Downloading and preparing a dataset, and the words for a user who must do it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pathlib
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from vp_jax.data import tasks
from vp_jax.data.builders import prepare as builders
from vp_jax.data.tasks.task import Task
from vp_jax.errors import UserError, brief

_ANSWER_SECONDS = 10


def has_tensorflow() -> bool:
    """Whether TensorFlow is installed; it is not imported."""
    return importlib.util.find_spec("tensorflow") is not None


def is_ours(tfds_name: str) -> bool:
    """Whether the dataset is made by a builder of this package."""
    return tfds_name.partition("/")[0] in builders.MODULES


def manual_folder(root: pathlib.Path) -> pathlib.Path:
    """Where tfds looks by default for files that a person must fetch."""
    return root / "downloads" / "manual"


def manual(task: Task, root: pathlib.Path, manual_dir: pathlib.Path | None = None) -> str:
    """Which file to put where, as a sentence; empty if there is none to put."""
    folder = os.fspath(manual_dir or manual_folder(root))
    text = task.manual.replace("{manual_dir}", folder)
    return text[:1].upper() + text[1:] + "." if text else ""


def command(
    task: Task,
    data_dir: str | os.PathLike[str],
    tfds_name: str | None = None,
    manual_dir: pathlib.Path | None = None,
) -> str:
    """Shell commands, one a line, each of which prepares the dataset as array_record.

    Args:
      task: whose dataset it is.
      data_dir: the folder of all prepared datasets.
      tfds_name: which dataset, if the task has two.
      manual_dir: where files lie that a person has fetched, if not at the usual place.
    """
    tfds_name = tfds_name or task.own_tfds_name
    ours = is_ours(tfds_name)
    name = tfds_name.partition("/")[0].removeprefix("vp_") if ours else task.name
    command = f"python -m vp_jax.data prepare {name} --data_dir={os.fspath(data_dir)}"
    if manual_dir not in (None, manual_folder(pathlib.Path(data_dir))):
        command += f" --manual_dir={os.fspath(manual_dir)}"
    if ours:
        return command
    # Not `tfds build`: that program does not start without Apache Beam.
    plain = (
        'python -c "import tensorflow_datasets as tfds; '
        f"tfds.builder('{tfds_name}', data_dir='{os.fspath(data_dir)}', "
        "file_format='array_record').download_and_prepare()\""
    )
    return f"{command}\nor, without vp_jax:\n    {plain}" if _is_registered(task) else plain


def missing(
    task: Task,
    root: pathlib.Path,
    what: str,
    tfds_name: str | None = None,
    manual_dir: pathlib.Path | None = None,
) -> UserError:
    """The error for a dataset that is not under `root`, with everything that helps."""
    tfds_name = tfds_name or task.own_tfds_name
    path = tfds_name.partition(":")[0]
    tensorflow = "" if is_ours(tfds_name) else " and TensorFlow (pip install 'vp_jax[data]')"
    by_hand = manual(task, root, manual_dir)
    if by_hand:
        how = f"{by_hand} Then prepare it once{tensorflow.replace(' and', ', with')}"
    elif tensorflow:
        how = f"Prepare it once, on a machine with a network{tensorflow}"
    else:
        how = "Prepare it once"
    return UserError(
        f"the dataset {task.name!r} {what}; there is no {root / path}/VERSION/dataset_info.json. "
        f"{how}:\n    {command(task, root, tfds_name, manual_dir)}\n"
        "or point at a folder that holds a prepared copy, "
        f"DIR/{path}/VERSION:\n    --config.task.data_dir=DIR"
    )


def download(
    task: Task,
    root: pathlib.Path,
    tfds_name: str | None = None,
    manual_dir: pathlib.Path | None = None,
) -> None:
    """Downloads the dataset and prepares it under `root` in tfds's array_record format.

    A dataset of our own builders is made of the files in `manual_dir`, without a download.

    Args:
      task: whose dataset it is.
      root: the folder of all prepared datasets.
      tfds_name: which dataset, if the task has two.
      manual_dir: where files lie that a person has fetched; by default `manual_folder(root)`.

    Raises:
      UserError: the server does not answer, files are missing, or anything goes wrong on the way.
    """
    import tensorflow_datasets as tfds

    tfds_name = tfds_name or task.own_tfds_name
    manual_dir = manual_dir or manual_folder(root)
    try:
        if is_ours(tfds_name):
            builders.prepare(tfds_name, root, None if task.generated else manual_dir)
            return
        builder = tfds.builder(tfds_name, data_dir=root, file_format="array_record")
        if not task.manual:
            _check_network(builder.url_infos or {})
        config = tfds.download.DownloadConfig(manual_dir=os.fspath(manual_dir))
        builder.download_and_prepare(download_config=config)
    except MemoryError:
        raise
    except Exception as e:
        if task.generated:
            raise
        what = f"could not be prepared: {brief(e)}"
        raise missing(task, root, what, tfds_name, manual_dir) from e


def _is_registered(task: Task) -> bool:
    try:
        return tasks.get(task.name).tfds_names == task.tfds_names
    except UserError:
        return False


def _check_network(urls: Mapping[str, Any]) -> None:
    """Asks the first server for an answer, because tfds retries for minutes without a network."""
    for url in list(urls)[:1]:
        request = urllib.request.Request(url, method="HEAD")
        with contextlib.suppress(urllib.error.HTTPError):  # Refusing this is an answer too.
            urllib.request.urlopen(request, timeout=_ANSWER_SECONDS).close()
