"""Datasets prepared by tfds, as random access to encoded images, most without TensorFlow."""

from __future__ import annotations

import contextlib
import functools
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from vp_jax.data import download as download_lib
from vp_jax.data.builders.prepare import prepare
from vp_jax.data.download import brief, command, has_tensorflow, missing
from vp_jax.data.examples import Example, Examples, Source
from vp_jax.data.tasks import Task
from vp_jax.errors import UserError

_NAME_KEYS = ("file_name", "filename", "image/filename", "id", "index")


def read(task: Task, root: pathlib.Path, *, download: bool = True) -> Source:
    """Opens a task's dataset, and prepares it first if that is possible.

    The newest version under `root/name[/config]` is read as it lies there; the code that prepared
    it is not needed. A dataset in tfds's array_record format is read without TensorFlow, one in
    tfrecord format with it. A missing dataset is generated if the package can do that, and
    otherwise downloaded and prepared if TensorFlow is installed.

    Args:
      task: what to read.
      root: the folder of all prepared datasets.
      download: whether a missing dataset may be downloaded.

    Raises:
      UserError: the dataset is missing, with the command that prepares it; or it cannot be read,
        or has not the splits and features that the task names.
    """
    directory = find_prepared(task.tfds_name, root)
    if directory is None:
        if task.generated:
            prepare(task.tfds_name, root)
        elif download and has_tensorflow():
            download_lib.download(task, root)
        else:
            raise missing(task, root, "is not prepared")
        directory = find_prepared(task.tfds_name, root)
        if directory is None:
            raise missing(task, root, "was prepared but is not there")
    return _open(task, root, directory)


def find_prepared(tfds_name: str, root: pathlib.Path) -> pathlib.Path | None:
    """The newest complete version of `name[/config][:version]` under `root`, or None."""
    path, _, wanted = tfds_name.partition(":")
    found = [
        folder
        for folder in (root / path).glob(wanted or "*.*.*")
        if re.fullmatch(r"\d+\.\d+\.\d+", folder.name)
        and (folder / "dataset_info.json").is_file()
        and (folder / "features.json").is_file()
    ]
    return max(found, key=lambda f: tuple(map(int, f.name.split("."))), default=None)


def _open(task: Task, root: pathlib.Path, directory: pathlib.Path) -> Source:
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(directory)
        features = dict(builder.info.features)
    except Exception as e:
        raise UserError(
            f"the dataset {task.name!r} in {directory} cannot be read: {brief(e)}"
        ) from e

    for key in (task.image_key, task.label_key):
        if key not in features:
            raise UserError(
                f"the dataset {task.name!r} in {directory} has no feature {key!r}; "
                f"it has: {', '.join(sorted(features))}"
            )
    if not isinstance(features[task.image_key], tfds.features.Image):
        raise UserError(
            f"the feature {task.image_key!r} of {task.name!r} in {directory} is not an image: "
            f"{features[task.image_key]}"
        )
    label = features[task.label_key]
    if label.shape != () or not np.issubdtype(label.np_dtype, np.integer):
        raise UserError(
            f"the feature {task.label_key!r} of {task.name!r} in {directory} is not one integer: "
            f"{label}"
        )

    num_classes, class_names = None, None
    if isinstance(label, tfds.features.ClassLabel):
        num_classes = label.num_classes
        if label.names != [str(i) for i in range(num_classes or 0)]:
            class_names = tuple(label.names)
    key = next((k for k in _NAME_KEYS if k in features and features[k].shape == ()), None)

    def examples(split: str) -> Examples:
        records = _records(task, root, builder, split)
        get = functools.partial(_example, records, task, split, key, directory)
        return Examples(split, len(records), get)

    return Source(directory, num_classes, class_names, examples(task.train), examples(task.test))


def _example(
    records: Sequence[Any],
    task: Task,
    split: str,
    key: str | None,
    directory: pathlib.Path,
    index: int,
) -> Example:
    try:
        record = records[index]
        encoded = record[task.image_key]
        label = int(record[task.label_key])
        name = None if key is None else record[key]
    except Exception as e:  # A record cut short may also read as one that holds nothing.
        raise UserError(
            f"{split} example {index} of {task.name!r} cannot be read ({brief(e)}): "
            f"a file in {directory} is damaged. Remove that folder and prepare it again"
        ) from e
    if isinstance(name, bytes):
        name = name.decode("utf-8", "replace")
    return Example(encoded, label, None if name is None else str(name))


def _records(task: Task, root: pathlib.Path, builder: Any, split: str) -> Sequence[Any]:
    """The undecoded records of one split, in the order in which they are stored."""
    import tensorflow_datasets as tfds

    available = sorted(builder.info.splits)
    absent = [s for s in re.split(r"\s*\+\s*", split) if s.split("[")[0] not in available]
    if absent:
        raise UserError(
            f"the dataset {task.name!r} in {builder.data_dir} has no split {absent[0]!r}; "
            f"it has: {', '.join(available)}"
        )
    try:
        count = builder.info.splits[split].num_examples
    except ValueError as e:
        raise UserError(f"the split {split!r} of {task.name!r} is not understood: {e}") from e
    if not count:
        raise UserError(f"the split {split!r} of {task.name!r} in {builder.data_dir} is empty")
    encoded = (tfds.features.Image, tfds.features.Video, tfds.features.Audio)
    decoders = {
        key: tfds.decode.SkipDecoding()
        for key, feature in builder.info.features.items()
        if isinstance(feature, encoded)
    }
    formats = {file_format.value for file_format in builder.info.available_file_formats()}
    if "array_record" not in formats and not has_tensorflow():
        raise UserError(
            f"the dataset {task.name!r} in {builder.data_dir} is stored as "
            f"{'/'.join(sorted(formats))}, which only TensorFlow reads. Install it "
            "(pip install 'vp_jax[data]') or, on any machine that has it, prepare the dataset as "
            f"array_record in another folder:\n    {command(task, 'DIR')}\n"
            "and name that folder:\n    --config.task.data_dir=DIR"
        )
    try:
        if "array_record" in formats:
            return builder.as_data_source(split, decoders=decoders, file_format="array_record")
        return _read_with_tensorflow(builder, split, decoders)
    except Exception as e:
        raise UserError(
            f"the split {split!r} of {task.name!r} in {builder.data_dir} cannot be read: "
            f"{brief(e)}. Remove that folder and prepare it again"
            + (": start once more" if task.generated else f":\n    {command(task, root)}")
        ) from e


def _read_with_tensorflow(builder: Any, split: str, decoders: dict[str, Any]) -> list[Any]:
    import tensorflow as tf
    import tensorflow_datasets as tfds

    with contextlib.suppress(RuntimeError):  # It was too late: TensorFlow is in use already.
        tf.config.set_visible_devices([], "GPU")
    # One file after the other, as the data source has them, instead of interleaved.
    config = tfds.ReadConfig(interleave_cycle_length=1)
    dataset = builder.as_dataset(split=split, decoders=decoders, read_config=config)
    return list(tfds.as_numpy(dataset))
