"""Datasets that are one `.npz` file of arrays."""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib
import zipfile
from collections.abc import Mapping

import numpy as np

from vp_jax.data.files.file_tree import digest, stamp
from vp_jax.data.files.npz_array import Header, StoredArray, open_array
from vp_jax.data.tasks.examples import Example, Examples, Source
from vp_jax.data.tasks.task import Task
from vp_jax.errors import UserError, brief

CONTENT = (
    "an .npz file with the uint8 arrays train_data and test_data of shape [N, h, w], [N, h, w, 3] "
    "or [N, s*s] (flat square grey images) and the integer arrays train_target and test_target of "
    "shape [N]; val_data and val_target, the validation split, and class_names are optional"
)

_SPLITS = ("train", "val", "test")
_REQUIRED = ("train_data", "train_target", "test_data", "test_target")
_OPTIONAL = ("val_data", "val_target", "class_names")


def read(task: Task, path: pathlib.Path) -> Source:
    """Opens a task's `.npz` file; nothing in it is unpickled.

    Images are uint8, grey `[N, h, w]`, RGB `[N, h, w, 3]` or flat square grey `[N, s*s]`; targets
    are integers `[N]`, from 0 on. They are checked whole once, and then read from the file one by
    one: from a temporary copy if they are compressed. A `val` is the validation split.

    Args:
      task: `task.file` is the file's name if the task has one.
      path: the file, or, if its name is known, the folder that holds it.

    Raises:
      UserError: the file is missing or damaged, or an array in it is missing or unfit; or there is
        no space to decompress it.
    """
    path = _find(task, path)
    images, others = _load(task, path)
    names = _class_names(others.get("class_names"), path)
    splits = {}
    for split in _SPLITS:
        if f"{split}_data" in images or f"{split}_target" in others:
            splits[split] = _examples(images, others, split, path)
    return Source(
        path,
        None if names is None else len(names),
        names,
        splits["train"],
        splits["test"],
        val=splits.get("val"),
        fingerprint=digest([f"{path}\0{stamp(path)}"]),
    )


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


def _load(task: Task, path: pathlib.Path) -> tuple[dict[str, StoredArray], dict[str, np.ndarray]]:
    """The arrays that mean something here, by name: images, which stay in the file, and others."""
    if not zipfile.is_zipfile(path):
        raise UserError(
            f"{path} is damaged or of another kind; the task {task.name!r} needs {CONTENT}"
        )
    images: dict[str, StoredArray] = {}
    others: dict[str, np.ndarray] = {}
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
                if name in file.files and name.endswith("_data"):
                    check = functools.partial(_check_images, path, name)
                    images[name] = open_array(path, name, check)
                elif name in file.files:
                    others[name] = file[name]
                    if not isinstance(others[name], np.ndarray):
                        raise ValueError("it is no array of NumPy")
    except UserError:
        raise
    except Exception as e:  # Damage shows in zip, zlib and NumPy, each with types of its own.
        raise UserError(
            f"{path} cannot be read, at {name}: {brief(e)}. The file is damaged or holds Python "
            "objects; replace it"
        ) from e
    return images, others


def _check_images(path: pathlib.Path, name: str, images: Header) -> None:
    """Refuses arrays that are no images, before they are read."""
    shape = images.shape
    _check(images.dtype == np.uint8, path, name, images, "uint8, with values 0 .. 255")
    if len(shape) == 2:
        square = math.isqrt(shape[1]) ** 2 == shape[1]
        _check(square, path, name, images, "flat *square* grey, [N, s*s]")
    fits = len(shape) in (2, 3) or (len(shape) == 4 and shape[3] == 3)
    _check(fits, path, name, images, "[N, h, w], [N, h, w, 3] or [N, s*s]")
    _check(math.prod(shape) > 0, path, name, images, "one image or more, of a pixel or more")


def _examples(
    arrays: Mapping[str, StoredArray],
    targets: Mapping[str, np.ndarray],
    split: str,
    path: pathlib.Path,
) -> Examples:
    data, target = f"{split}_data", f"{split}_target"
    for name, other, there in ((data, target, arrays), (target, data, targets)):
        if name not in there:
            raise UserError(f"{path} has {other} but no {name}; add or remove one of them")
    images, labels = arrays[data], targets[target]
    _check(labels.dtype.kind in "iu", path, target, labels, "integers")
    count, *sides = images.shape
    _check(labels.shape == (count,), path, target, labels, f"[{count}] as the images")
    side = math.isqrt(sides[0])
    size = (side, side) if len(sides) == 1 else (sides[0], sides[1])
    labels = labels.astype(np.int64)
    return Examples(split, count, _ReadExample(images, size, labels), labels, shape=(*size, 3))


@dataclasses.dataclass(frozen=True)
class _ReadExample:
    """Reads examples by index; may be pickled."""

    images: StoredArray
    size: tuple[int, int]
    labels: np.ndarray

    def __call__(self, index: int) -> Example:
        image = self.images[index].reshape(*self.size, -1)
        return Example(np.broadcast_to(image, (*self.size, 3)), int(self.labels[index]), None)


def _class_names(names: np.ndarray | None, path: pathlib.Path) -> tuple[str, ...] | None:
    if names is None:
        return None
    fits = names.dtype.kind == "U" and names.ndim == 1
    _check(fits, path, "class_names", names, "texts (NumPy's str) of shape [K]")
    return tuple(map(str, names))


def _check(
    fits: bool, path: pathlib.Path, name: str, array: np.ndarray | Header, wanted: str
) -> None:
    if not fits:
        raise UserError(
            f"the array {name} in {path} is {array.dtype} of shape {array.shape}; "
            f"it must be {wanted}"
        )
