"""Datasets of image files: a folder, an archive of one, or a CSV of paths and labels."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from vp_jax.data.files.file_tree import FileTree, Reader, open_tree, printable
from vp_jax.data.sources import classes_file, folder_layout
from vp_jax.data.sources import csv as csv_source
from vp_jax.data.sources.folder_layout import LAYOUT, SUFFIXES, Layout
from vp_jax.data.splits.holdout import stratified_holdout
from vp_jax.data.tasks.classes import Classes, order
from vp_jax.data.tasks.examples import Example, Examples, Source
from vp_jax.data.tasks.task import Task
from vp_jax.errors import UserError

__all__ = ["CONTENT", "SUFFIXES", "read"]

CONTENT = (
    f"a folder, or a .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz of one, that holds {LAYOUT}; or a "
    ".csv of path,label"
)

_Labelled = Sequence[tuple[str, int]]


def read(
    task: Task, path: Path, test_fraction: float = 0.2, classes: Classes | None = None
) -> Source:
    """Lists the images of `path`; each is read when asked for.

    `folder_layout.arrange` says how folders are laid out, `csv_source.arrange` what a CSV holds;
    `classes_file.parse` how a `classes.txt` beside them names the classes, which otherwise have
    the names of their folders or labels. A `val` is the validation split. Without `test` a
    stratified share of train is held out as the test split: the same for every seed, it depends on
    the images' paths and labels only. Hidden files and files that are no images by their suffix
    are passed over. Photographs are turned as `Task.upright` says.

    Args:
      task: whose data they are.
      path: the folder, archive or CSV.
      test_fraction: the share of images to hold out if there is no `test`, in (0, 1).
      classes: those of a run, whose order the classes then have, and with it the same held-out
        images as if folders or labels were sorted so.

    Raises:
      UserError: the path or the fraction is unfit, the layout is another one, or its classes are
        not those given.
    """
    if not 0 < test_fraction < 1:
        raise UserError(f"test_fraction is {test_fraction}; it must be in (0, 1)")
    if path.suffix.lower() in csv_source.SUFFIXES and not path.is_dir():
        table = csv_source.arrange(path)
        layout, reader, names = table.layout, table.read, table.class_names
        fingerprint, sizes = table.fingerprint, table.sizes
    else:
        tree = open_tree(path)
        layout, reader = _arrange(tree), tree.read
        names, fingerprint = _class_names(tree, layout), _fingerprint(tree, layout)
        sizes = tree.sizes
    if classes is not None:
        layout, names, changed = _in_order(layout, names, classes, path)
        fingerprint += changed

    splits = dict(layout.splits)
    if "test" not in splits:
        splits["train"], splits["test"] = _hold_out(splits["train"], test_fraction, path)
    examples = {split: _examples(split, x, reader, sizes) for split, x in splits.items()}
    return Source(
        path,
        len(layout.classes),
        names,
        examples["train"],
        examples["test"],
        val=examples.get("val"),
        upright=task.upright,
        fingerprint=fingerprint,
        class_keys=_keys(layout),
    )


def _keys(layout: Layout) -> tuple[str, ...]:
    return tuple(map(printable, layout.classes))


def _in_order(
    layout: Layout, names: tuple[str, ...], classes: Classes, path: Path
) -> tuple[Layout, tuple[str, ...], str]:
    """A layout with the labels of a run, its class names, and what that adds to a fingerprint."""
    own = Classes(names, _keys(layout), names)
    label = order(classes, own, "the run", f"the data in {printable(str(path))}")
    if np.array_equal(label, np.arange(len(label))):
        return layout, names, ""
    place = np.argsort(label)
    splits = {
        split: sorted(((file, int(label[i])) for file, i in images), key=lambda x: (x[1], x[0]))
        for split, images in layout.splits.items()
    }
    ordered = Layout(tuple(layout.classes[i] for i in place), splits, layout.base)
    return ordered, tuple(names[i] for i in place), f" {label.tolist()}"


def _arrange(tree: FileTree) -> Layout:
    """The layout of a folder. A table in it, which may hold the labels, is not read but named."""
    tables = [
        name
        for name in tree.files
        if posixpath.splitext(name)[1].lower() in csv_source.SUFFIXES and name.count("/") < 2
    ]
    if not tables:
        return folder_layout.arrange(tree)
    table = printable(str(tree.path / min(tables, key=lambda name: (name.count("/"), name))))
    advice = f"if the labels are in {table}, name that file with --config.task.data_dir={table}"
    try:
        layout = folder_layout.arrange(tree)
    except UserError as e:
        raise UserError(f"{e}; {advice}") from e
    logging.warning("The classes of %s are its folders; %s", tree.path, advice)
    return layout


def _class_names(tree: FileTree, layout: Layout) -> tuple[str, ...]:
    file = _classes_file(tree, layout)
    if file is None:
        return tuple(map(printable, layout.classes))
    return classes_file.parse(tree.read(file), layout.classes, str(tree.path / file))


def _classes_file(tree: FileTree, layout: Layout) -> str | None:
    """The path of the file that names the classes; None if there is none."""
    folders = dict.fromkeys((layout.base.rstrip("/"), ""))
    files = [posixpath.join(folder, classes_file.NAME) for folder in folders]
    return next((file for file in files if file in tree.files), None)


def _fingerprint(tree: FileTree, layout: Layout) -> str:
    names = [path for images in layout.splits.values() for path, _ in images]
    file = _classes_file(tree, layout)
    return tree.fingerprint(names if file is None else [*names, file])


def _hold_out(pool: _Labelled, fraction: float, path: Path) -> tuple[_Labelled, _Labelled]:
    labels = np.array([label for _, label in pool])
    train, test = stratified_holdout(labels, fraction, seed=0)
    if not len(test):
        raise UserError(
            f"{path} has no test images, and {fraction} of its {len(pool)} images is no image to "
            "hold out for the test (every class keeps one): raise --config.task.test_fraction, "
            "or add images"
        )
    logging.info("%s has no test split: %d of %d images held out", path, len(test), len(pool))
    return [pool[i] for i in train], [pool[i] for i in test]


@dataclasses.dataclass(frozen=True)
class _ReadExample:
    """Reads examples by index; may be pickled."""

    read: Reader
    paths: tuple[str, ...]
    labels: np.ndarray

    def __call__(self, index: int) -> Example:
        path = self.paths[index]
        return Example(self.read(path), int(self.labels[index]), printable(path))


def _examples(split: str, images: _Labelled, reader: Reader, sizes: Mapping[str, int]) -> Examples:
    labels = np.array([label for _, label in images], np.int64)
    paths = tuple(path for path, _ in images)
    get = _ReadExample(reader, paths, labels)
    names = np.array([printable(path) for path in paths], object)
    size = np.array([sizes.get(path, -1) for path in paths], np.int64)
    return Examples(split, len(images), get, labels, names=names, sizes=size)
