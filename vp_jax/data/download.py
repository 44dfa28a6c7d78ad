"""Downloading and preparing a dataset with TensorFlow, and the words for a user who must do it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pathlib
import urllib.error
import urllib.request

from vp_jax.data.tasks import Task
from vp_jax.errors import UserError

_ANSWER_SECONDS = 10


def has_tensorflow() -> bool:
    """Whether TensorFlow is installed; it is not imported."""
    return importlib.util.find_spec("tensorflow") is not None


def command(task: Task, data_dir: str | os.PathLike[str]) -> str:
    """A shell command that prepares the dataset in a format that is read without TensorFlow."""
    # Not `tfds build`: that program does not start without Apache Beam.
    return (
        'python -c "import tensorflow_datasets as tfds; '
        f"tfds.builder('{task.tfds_name}', data_dir='{os.fspath(data_dir)}', "
        "file_format='array_record').download_and_prepare()\""
    )


def missing(task: Task, root: pathlib.Path, what: str) -> UserError:
    """The error for a dataset that is not under `root`, with everything that helps."""
    path = task.tfds_name.partition(":")[0]
    return UserError(
        f"the dataset {task.name!r} {what}; there is no {root / path}/VERSION/dataset_info.json. "
        "Prepare it once, on a machine with a network and TensorFlow (pip install 'vp_jax[data]'):"
        f"\n    {command(task, root)}\n"
        "or point at a folder that holds a prepared copy, "
        f"DIR/{path}/VERSION:\n    --config.task.data_dir=DIR"
    )


def download(task: Task, root: pathlib.Path) -> None:
    """Downloads the dataset and prepares it under `root` in tfds's array_record format.

    Raises:
      UserError: the server does not answer, or anything goes wrong on the way.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(task.tfds_name, data_dir=root, file_format="array_record")
        _check_network(builder.url_infos or {})
        builder.download_and_prepare()
    except Exception as e:
        raise missing(task, root, f"could not be prepared: {brief(e)}") from e


def brief(error: Exception) -> str:
    """The type and the first line of an error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _check_network(urls: dict) -> None:
    """Asks the first server for an answer, because tfds retries for minutes without a network."""
    for url in list(urls)[:1]:
        request = urllib.request.Request(url, method="HEAD")
        with contextlib.suppress(urllib.error.HTTPError):  # Refusing this is an answer too.
            urllib.request.urlopen(request, timeout=_ANSWER_SECONDS).close()
