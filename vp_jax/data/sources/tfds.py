"""Datasets prepared by tfds, as random access to encoded images, most without TensorFlow."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vp_jax.data.sources import download as download_lib
from vp_jax.data.sources.download import command, has_tensorflow, is_ours, missing
from vp_jax.data.tasks.examples import Example, Examples, Source
from vp_jax.data.tasks.task import Task
from vp_jax.errors import UserError, brief

_NAME_KEYS = ("file_name", "filename", "image/filename", "image/file_name", "id", "index", "name")


def read(
    task: Task,
    root: pathlib.Path,
    *,
    download: bool = True,
    manual_dir: pathlib.Path | None = None,
) -> Source:
    """Opens a task's dataset, and prepares it first if that is possible.

    The newest version under `root/name[/config]` is read as it lies there; the code that prepared
    it is not needed. A dataset in tfds's array_record format is read without TensorFlow, one in
    tfrecord format with it. A missing dataset is generated if the package can do that, made of the
    files in `manual_dir` if our own builder does it, and otherwise downloaded and prepared if
    TensorFlow is installed.

    A task of which `train` is None has an empty training split.

    Args:
      task: what to read.
      root: the folder of all prepared datasets.
      download: whether a missing dataset may be downloaded, or made of files.
      manual_dir: where files lie that a person has fetched, by default
        `download.manual_folder(root)`.

    Raises:
      UserError: the dataset is missing, with the command that prepares it; or it cannot be read,
        or has not the splits and features that the task names.
    """
    folders = {name: _prepared(task, name, root, download, manual_dir) for name in task.tfds_names}
    return _open(task, root, folders)


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


def _prepared(
    task: Task, name: str, root: pathlib.Path, download: bool, manual_dir: pathlib.Path | None
) -> pathlib.Path:
    """The folder of the dataset `name`, which is prepared if it is not there."""
    folder = find_prepared(name, root)
    if folder is None:
        if not task.generated and not (download and (is_ours(name) or has_tensorflow())):
            raise missing(task, root, "is not prepared", name, manual_dir)
        download_lib.download(task, root, name, manual_dir)
        folder = find_prepared(name, root)
        if folder is None:
            raise missing(task, root, "was prepared but is not there", name, manual_dir)
    return folder


def _open(task: Task, root: pathlib.Path, folders: Mapping[str, pathlib.Path]) -> Source:
    builders = {name: _builder(task, folder) for name, folder in folders.items()}
    own = task.own_tfds_name
    folder, builder = folders[own], builders[own]
    for name in folders:
        _check_features(task, folders[name], builders[name].info.features)

    def examples(split: str, name: str = own) -> Examples:
        records = _records(task, root, builders[name], split)
        features = builders[name].info.features
        key = next((k for k in _NAME_KEYS if k in features and features[k].shape == ()), None)
        get = functools.partial(_example, records, task, split, key, folders[name])
        return Examples(split, len(records), get, shape=_shape(features[task.image_key]))

    train = Examples("train", 0, _no_example)
    if task.train is not None:
        train = examples(task.train, task.train_tfds_name or own)
    num_classes, class_names = _classes(task, builder.info.features)
    return Source(
        folder,
        num_classes,
        class_names,
        train,
        examples(task.test),
        val=None if task.val is None else examples(task.val),
        extra={split: examples(split) for split in task.extra},
        group_names=_group_names(task, builder.info.features),
        fingerprint=_fingerprint(task, folders),
    )


def _builder(task: Task, folder: pathlib.Path) -> Any:
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(folder)
        dict(builder.info.features)
    except Exception as e:
        raise UserError(f"the dataset {task.name!r} in {folder} cannot be read: {brief(e)}") from e
    return builder


def _check_features(task: Task, folder: pathlib.Path, features: Mapping[str, Any]) -> None:
    import tensorflow_datasets as tfds

    keys = (task.image_key, task.label_key, *([task.group_key] if task.group_key else []))
    for key in keys:
        if key not in features:
            raise UserError(
                f"the dataset {task.name!r} in {folder} has no feature {key!r}; "
                f"it has: {', '.join(sorted(features))}"
            )
    if not isinstance(features[task.image_key], tfds.features.Image):
        raise UserError(
            f"the feature {task.image_key!r} of {task.name!r} in {folder} is not an image: "
            f"{features[task.image_key]}"
        )
    if np.issubdtype(features[task.image_key].np_dtype, np.floating):  # Stored as if it were RGBA.
        raise UserError(
            f"the feature {task.image_key!r} of {task.name!r} in {folder} is an image of "
            "floating-point numbers, of which nothing says what is white: prepare it as uint8"
        )
    for key in keys[1:]:
        feature = features[key]
        if key == task.label_key and task.label_of is not None:
            continue
        if feature.shape != () or not np.issubdtype(feature.np_dtype, np.integer):
            raise UserError(
                f"the feature {key!r} of {task.name!r} in {folder} is not one integer: {feature}"
            )


def _classes(task: Task, features: Mapping[str, Any]) -> tuple[int | None, tuple[str, ...] | None]:
    """How many classes the dataset has, and their names, as far as it says."""
    if task.label_of is not None:
        return task.num_classes, None
    num_classes = getattr(features[task.label_key], "num_classes", None)
    names = tuple(getattr(features[task.label_key], "names", None) or ())
    is_named = names != tuple(str(i) for i in range(num_classes or 0))
    return num_classes, names if is_named else None


def _group_names(task: Task, features: Mapping[str, Any]) -> tuple[str, ...]:
    if task.group_key is None:
        return ()
    return tuple(getattr(features[task.group_key], "names", None) or ())


def _shape(image: Any) -> tuple[int, int, int] | None:
    """The size of every image, if the feature declares one; they are decoded as RGB."""
    height, width = image.shape[:2]
    return None if height is None or width is None else (height, width, 3)


def _fingerprint(task: Task, folders: Mapping[str, pathlib.Path]) -> str:
    """Of the datasets' versions and shards, and of what the task takes of them."""
    digest = hashlib.sha256()
    for name, folder in folders.items():
        digest.update(f"{name}:{folder.name}\n".encode())
        digest.update((folder / "dataset_info.json").read_bytes())
    taken = (task.train, task.val, task.test, *task.extra)
    keys = (task.image_key, task.label_key, task.group_key)
    label_of = getattr(task.label_of, "__qualname__", None)
    digest.update(repr((taken, keys, label_of)).encode())
    return digest.hexdigest()[:16]


def _no_example(index: int) -> Example:
    raise IndexError(index)


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
        label = record[task.label_key]
        label = int(label if task.label_of is None else task.label_of(label))
        group = 0 if task.group_key is None else int(record[task.group_key])
        name = None if key is None else record[key]
    except MemoryError:
        raise
    except Exception as e:  # A record cut short may also read as one that holds nothing.
        raise UserError(
            f"{split} example {index} of {task.name!r} cannot be read ({brief(e)}): "
            f"a file in {directory} is damaged. Remove that folder and prepare it again"
        ) from e
    if isinstance(name, bytes):
        name = name.decode("utf-8", "replace")
    return Example(encoded, label, None if name is None else str(name), group)


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
