"""A whole task in memory: decoded train, val and test splits."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence

import numpy as np
from absl import logging

from vp_jax.data import class_names as class_names_lib
from vp_jax.data import tasks
from vp_jax.data.decode import decode_image
from vp_jax.data.examples import Examples
from vp_jax.data.preprocess import ResizeRule, preprocess_one
from vp_jax.data.source import read
from vp_jax.data.splits import stratified_holdout
from vp_jax.errors import UserError

MAX_NAMED = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """A split in memory: images uint8 `[N, h, w, 3]` and labels int32 `[N]`."""

    name: str
    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclasses.dataclass(frozen=True, eq=False)
class TaskData:
    """A task's three splits.

    Attributes:
      task: where they are from.
      class_names: one name a label.
      train: what is trained on.
      val: held out of the training examples, for choosing a model.
      test: evaluated once, at the end; the same for every seed.
      skipped: how many corrupt images were left out.
    """

    task: tasks.Task
    class_names: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    skipped: int = 0


def load_task(
    task: tasks.Task | str,
    *,
    resize: ResizeRule,
    val_fraction: float = 0.1,
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
    class_names: Sequence[str] | str | os.PathLike[str] | None = None,
    test_fraction: float = 0.2,
    skip_corrupt: bool = False,
    download: bool = True,
    progress: bool = True,
) -> TaskData:
    """Reads and decodes a task.

    If all images of all splits have one size with no more pixels than the model's input, they keep
    it (the resize is then part of the compiled step). Otherwise each is resized here.

    Args:
      task: a task, or the name of a registered one.
      resize: how images become `[S, S, 3]`.
      val_fraction: the share of the training examples to hold out for validation.
      seed: which of them; the test split does not depend on it.
      data_dir: the folder of all prepared datasets, or the user's own data: see `source.read`.
      class_names: other class names: a sequence, or the path of a text file with one a line.
      test_fraction: the share of a folder of images that becomes the test split, in (0, 1), if the
        folder has none of its own.
      skip_corrupt: leave out images that cannot be decoded, with a warning, instead of stopping.
      download: whether a missing dataset may be downloaded.
      progress: show a progress bar when it takes more than a second.

    Raises:
      UserError: the dataset is missing or unfit, images are corrupt (all splits are read before
        it is raised), labels are out of range, a split is empty, or an argument is out of range.
    """
    if isinstance(task, str):
        task = tasks.get(task)
    stratified_holdout(np.zeros(0, np.int32), val_fraction, seed)  # Refuses before the long work.
    source = read(task, data_dir, download=download, test_fraction=test_fraction)
    names = class_names_lib.resolve(task, source, class_names)

    images, labels, corrupt = _decode((source.train, source.test), resize, progress)
    if corrupt:
        _report_corrupt(task, corrupt, skip_corrupt)
    for examples, split_labels in zip((source.train, source.test), labels, strict=True):
        _check_labels(task, examples.split, split_labels, len(names))

    labels = [split_labels.astype(np.int32) for split_labels in labels]
    train, val = stratified_holdout(labels[0], val_fraction, seed)
    return TaskData(
        task,
        names,
        Split("train", images[0][train], labels[0][train]),
        Split("val", images[0][val], labels[0][val]),
        Split("test", images[1].copy(), labels[1]),  # A view would keep all of them in memory.
        len(corrupt),
    )


def _decode(
    splits: Sequence[Examples], resize: ResizeRule, progress: bool
) -> tuple[list[np.ndarray], list[np.ndarray], list[str]]:
    """Images and labels a split, and the descriptions of what could not be decoded.

    All images go into one array. It is made for images of the first one's size; the first that has
    another size, or too many pixels, makes this and everything before and after it model-sized.
    """
    import tqdm

    size = resize.image_size
    total = sum(map(len, splits))
    images: np.ndarray | None = None
    native = True
    labels: list[list[int]] = [[] for _ in splits]
    corrupt: list[str] = []
    count = 0
    bar = tqdm.tqdm(
        total=total, desc="decoding", unit=" images", delay=1, disable=not progress, leave=False
    )
    with bar:
        for examples, split_labels in zip(splits, labels, strict=True):
            for index in range(len(examples)):
                bar.update()
                example = examples[index]
                try:
                    image = _decoded(example.image)
                except Exception as e:  # Decoders raise a dozen types for damaged files.
                    corrupt.append(_describe(examples.split, index, example.key, e))
                    continue
                if native and not _fits(image, images, size):
                    native = False
                    resized = np.empty((total, size, size, 3), np.uint8)
                    for i in range(count):
                        resized[i] = preprocess_one(images[i], resize)
                    images = resized
                if not native:
                    image = preprocess_one(image, resize)
                if images is None:
                    images = np.empty((total, *image.shape), np.uint8)
                images[count] = image
                split_labels.append(example.label)
                count += 1
    if images is None:
        images = np.empty((0, size, size, 3), np.uint8)
    ends = np.cumsum([len(split_labels) for split_labels in labels])
    return (
        np.split(images[:count], ends[:-1]),
        [np.array(split_labels, np.int64) for split_labels in labels],
        corrupt,
    )


def _decoded(image: bytes | np.ndarray) -> np.ndarray:
    return image if isinstance(image, np.ndarray) else decode_image(image)


def _fits(image: np.ndarray, images: np.ndarray | None, size: int) -> bool:
    """Whether an image may keep its size beside those before it."""
    if image.shape[0] * image.shape[1] > size**2:
        return False
    return images is None or image.shape == images.shape[1:]


def _describe(split: str, index: int, key: str | None, error: Exception) -> str:
    named = "" if key is None else f" ({key})"
    reason = re.sub(r" <[^>]*>", "", str(error))  # Pillow names the buffer's address.
    return f"{split} example {index}{named}: {type(error).__name__}: {reason}"


def _report_corrupt(task: tasks.Task, corrupt: list[str], skip: bool) -> None:
    lines = [f"    {line}" for line in corrupt[:MAX_NAMED]]
    if len(corrupt) > MAX_NAMED:
        lines.append(f"    and {len(corrupt) - MAX_NAMED} more")
    what = f"of {task.name!r} cannot be decoded:\n" + "\n".join(lines)
    if not skip:
        raise UserError(
            f"{len(corrupt)} image(s) {what}\n"
            "Replace them or prepare the dataset again, or leave them out with "
            "--config.task.skip_corrupt=True"
        )
    logging.warning("Skipped: %d image(s) %s", len(corrupt), what)


def _check_labels(task: tasks.Task, split: str, labels: np.ndarray, num_classes: int) -> None:
    if not len(labels):
        raise UserError(f"no image of the split {split!r} of {task.name!r} can be decoded")
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(wrong):
        raise UserError(
            f"{len(wrong)} label(s) of the split {split!r} of {task.name!r} are outside "
            f"0 .. {num_classes - 1}, which the {num_classes} class names stand for; "
            f"the first is {labels[wrong[0]]}"
        )
