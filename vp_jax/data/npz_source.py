"""Datasets that are one `.npz` file of arrays."""

from __future__ import annotations

import math
import pathlib
import zipfile
from collections.abc import Mapping

import numpy as np

from vp_jax.data.download import brief
from vp_jax.data.examples import Example, Examples, Source
from vp_jax.data.tasks import Task
from vp_jax.errors import UserError

CONTENT = (
    "an .npz file with the uint8 arrays train_data and test_data of shape [N, h, w], [N, h, w, 3] "
    "or [N, s*s] (flat square grey images) and the integer arrays train_target and test_target of "
    "shape [N]; val_data and val_target, which join the training examples, and class_names are "
    "optional"
)

_SPLITS = ("train", "val", "test")
_REQUIRED = ("train_data", "train_target", "test_data", "test_target")
_OPTIONAL = ("val_data", "val_target", "class_names")


def read(task: Task, path: pathlib.Path) -> Source:
    """Reads the arrays of a task's `.npz` file; nothing in it is unpickled.

    Images are uint8, grey `[N, h, w]`, RGB `[N, h, w, 3]` or flat square grey `[N, s*s]`; targets
    are integers `[N]`, from 0 on. Validation examples join the training pool.

    Args:
      task: `task.file` is the file's name if the task has one.
      path: the file, or, if its name is known, the folder that holds it.

    Raises:
      UserError: the file is missing or damaged, or an array in it is missing or unfit.
    """
    path = _find(task, path)
    arrays = _load(task, path)
    images, labels = {}, {}
    for split in _SPLITS:
        if f"{split}_data" in arrays or f"{split}_target" in arrays:
            images[split], labels[split] = _split(arrays, split, path)
    if "val" in images:
        images["train"] = _joined(images["train"], images["val"], path)
        labels["train"] = np.concatenate([labels["train"], labels["val"]])
    names = _class_names(arrays, path)

    def examples(split: str) -> Examples:
        def get(index: int) -> Example:
            return Example(_rgb(images[split][index]), int(labels[split][index]), None)

        return Examples(split, len(labels[split]), get)

    num_classes = None if names is None else len(names)
    return Source(path, num_classes, names, examples("train"), examples("test"))


def _find(task: Task, path: pathlib.Path) -> pathlib.Path:
    if path.is_dir() and task.file is not None:
        path /= task.file
    if path.is_dir():
        raise UserError(
            f"{path} is a folder, and the task {task.name!r} reads one file: name it with "
            f"--config.task.data_dir=FILE, {CONTENT}"
        )
    if not path.is_file():
        raise UserError(
            f"the task {task.name!r} reads {path}, which is not there: put there, or name with "
            f"--config.task.data_dir=FILE, {CONTENT}"
        )
    return path


def _load(task: Task, path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of the file that mean something here, by name."""
    if not zipfile.is_zipfile(path):
        raise UserError(
            f"{path} is damaged or of another kind; the task {task.name!r} needs {CONTENT}"
        )
    arrays = {}
    name = "its list of arrays"
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in _REQUIRED if name not in file.files]
            if missing:
                raise UserError(
                    f"{path} has no {', '.join(missing)}; it has: "
                    f"{', '.join(file.files) or 'nothing'}. The task {task.name!r} needs {CONTENT}"
                )
            for name in _REQUIRED + _OPTIONAL:
                if name in file.files:
                    arrays[name] = file[name]
    except UserError:
        raise
    except Exception as e:  # Damage shows in zip, zlib and NumPy, each with types of its own.
        raise UserError(
            f"{path} cannot be read, at {name}: {brief(e)}. The file is damaged or holds Python "
            "objects; replace it"
        ) from e
    return arrays


def _split(
    arrays: Mapping[str, np.ndarray], split: str, path: pathlib.Path
) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 `[N, h, w]` or `[N, h, w, 3]` and targets `[N]` of one split."""
    names = (f"{split}_data", f"{split}_target")
    for name, other in (names, names[::-1]):
        if name not in arrays:
            raise UserError(f"{path} has {other} but no {name}; add or remove one of them")
    images, labels = (arrays[name] for name in names)
    _check(images.dtype == np.uint8, path, names[0], images, "uint8, with values 0 .. 255")
    if images.ndim == 2:
        side = math.isqrt(images.shape[1])
        _check(side**2 == images.shape[1], path, names[0], images, "flat *square* grey, [N, s*s]")
        images = images.reshape(len(images), side, side)
    fits = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
    _check(fits, path, names[0], images, "[N, h, w], [N, h, w, 3] or [N, s*s]")
    _check(images.size > 0, path, names[0], images, "one image or more, of a pixel or more")
    _check(labels.dtype.kind in "iu", path, names[1], labels, "integers")
    _check(labels.shape == (len(images),), path, names[1], labels, f"[{len(images)}] as the images")
    return images, labels


def _check(fits: bool, path: pathlib.Path, name: str, array: np.ndarray, wanted: str) -> None:
    if not fits:
        raise UserError(
            f"the array {name} in {path} is {array.dtype} of shape {array.shape}; "
            f"it must be {wanted}"
        )


def _joined(train: np.ndarray, val: np.ndarray, path: pathlib.Path) -> np.ndarray:
    if train.shape[1:] != val.shape[1:]:
        raise UserError(
            f"the images of val_data in {path} have the shape {val.shape[1:]} and those of "
            f"train_data {train.shape[1:]}; validation examples join the training examples, so "
            "they must have the same shape"
        )
    return np.concatenate([train, val])


def _class_names(arrays: Mapping[str, np.ndarray], path: pathlib.Path) -> tuple[str, ...] | None:
    names = arrays.get("class_names")
    if names is None:
        return None
    fits = names.dtype.kind == "U" and names.ndim == 1
    _check(fits, path, "class_names", names, "texts (NumPy's str) of shape [K]")
    return tuple(map(str, names))


def _rgb(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1)
