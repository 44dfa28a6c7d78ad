"""Datasets that are a folder, or an archive of one, with one folder of images a class."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import numpy as np
from absl import logging

from vp_jax.data.examples import Example, Examples, Source
from vp_jax.data.file_tree import FileTree, open_tree
from vp_jax.data.splits import stratified_holdout
from vp_jax.data.tasks import Task
from vp_jax.errors import UserError

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".bmp", ".dib", ".webp", ".avif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2", ".j2k"),
)
"""What the names of images end in, in lower case; other files are none."""

VAL = ("val", "valid", "validation")
"""Names of the folder whose examples join the training pool."""

LAYOUT = "CLASS/IMAGE or {train,val,test}/CLASS/IMAGE"

CONTENT = f"a folder, or a .zip, .tar, .tar.gz or .tar.xz of one, that holds {LAYOUT}"

Classes = dict[str, list[str]]
"""The images of each class, classes and images in order."""


def read(task: Task, path: Path, test_fraction: float = 0.2) -> Source:
    """Lists the images of `path`; each is read when asked for.

    The layout is `CLASS/IMAGE` or `{train,val,test}/CLASS/IMAGE`, below the path or below the only
    folder in it. Images in `val` join the training pool. Without `test` a stratified share of the
    pool is held out as the test split: the same for every seed, it depends on the images' paths
    only. Classes are sorted by name, those that begin with a number by that number. Hidden files
    and files that are no images by their suffix are ignored.

    Args:
      task: whose data they are.
      path: the folder or archive.
      test_fraction: the share of images to hold out if there is no `test`, in (0, 1).

    Raises:
      UserError: the path or the fraction is unfit, or the layout is another one.
    """
    if not 0 < test_fraction < 1:
        raise UserError(f"test_fraction is {test_fraction}; it must be in (0, 1)")
    tree = open_tree(path)
    images = [name for name in tree.files if posixpath.splitext(name)[1].lower() in SUFFIXES]
    base = _base(tree, images)
    tops = _folders(tree, base)
    if not _has_splits(images, base, tops):
        pool, test = _classes(tree, images, base), None
    else:
        pool, test = _splits(tree, images, base, tops)
    if len(pool) < 2:
        raise UserError(
            f"{_at(tree, base)} has only one class, {', '.join(map(repr, pool))}; a task needs two "
            f"or more, laid out as {LAYOUT}"
        )
    train = _labelled(pool)
    if test is None:
        train, held_out = _hold_out(train, test_fraction, path)
    else:
        held_out = _labelled(test)
    return Source(
        path,
        len(pool),
        tuple(pool),
        _examples("train", train, tree),
        _examples("test", held_out, tree),
    )


def _base(tree: FileTree, images: list[str]) -> str:
    """Where the layout begins: `""`, or the only folder, with a slash, if it holds folders only."""
    tops = _folders(tree, "")
    if len(tops) == 1:
        top = tops.pop()
        above = any(posixpath.dirname(name) in ("", top) for name in images)
        if top not in ("train", "test", *VAL) and not above and _folders(tree, f"{top}/"):
            return f"{top}/"
    return ""


def _folders(tree: FileTree, base: str) -> set[str]:
    """The names of the folders directly in `base`."""
    return {
        name[len(base) :] for name in tree.folders if posixpath.dirname(name) == base.rstrip("/")
    }


def _has_splits(images: list[str], base: str, tops: set[str]) -> bool:
    """Whether the folders `tops` are splits, and not classes one of which is called train."""
    if tops and tops <= {"train", "test", *VAL}:
        return True
    return "train" in tops and all(posixpath.dirname(name) != f"{base}train" for name in images)


def _splits(
    tree: FileTree, images: list[str], base: str, tops: set[str]
) -> tuple[Classes, Classes | None]:
    """The training pool and, if there is one, the test split."""
    where = _at(tree, base)
    if "train" not in tops:
        raise UserError(
            f"{where} has {', '.join(sorted(tops))} but no train; the layout must be {LAYOUT}"
        )
    for name in images:
        top = name[len(base) :].split("/")[0]
        if top not in ("train", "test", *VAL):
            raise UserError(
                f"{where} has a folder train, so the folders beside it must be val and test; but "
                f"there is an image {name}: the layout must be {LAYOUT}"
            )
    pool = _classes(tree, images, f"{base}train/")
    test = _classes(tree, images, f"{base}test/") if "test" in tops else None
    val = {top: _classes(tree, images, f"{base}{top}/") for top in VAL if top in tops}
    for split, classes in {**val, **({} if test is None else {"test": test})}.items():
        more = [name for name in classes if name not in pool]
        less = [name for name in pool if name not in classes] if split == "test" else []
        if more or less:
            differ = [f"only {split} has {', '.join(more)}"] if more else []
            differ += [f"only train has {', '.join(less)}"] if less else []
            raise UserError(
                f"train and {split} in {where} have different classes: {'; '.join(differ)}. "
                "Rename, add or remove folders so that they agree"
            )
    for classes in val.values():
        for name, paths in classes.items():
            pool[name] = pool[name] + paths
    return pool, test


def _classes(tree: FileTree, images: list[str], base: str) -> Classes:
    """The classes directly in `base`; every image is in one of them, and none is empty."""
    classes: Classes = {name: [] for name in sorted(_folders(tree, base), key=_order)}
    where = _at(tree, base)
    for name in images:
        if name.startswith(base):
            parts = name[len(base) :].split("/")
            if len(parts) != 2:
                place = "in no class's folder" if len(parts) == 1 else "too deep"
                raise UserError(
                    f"the image {name} in {tree.path} lies {place}; the layout must be {LAYOUT}"
                )
            classes[parts[0]].append(name)
    if not classes:
        raise UserError(
            f"{where} has no folders, so there are no classes; the layout must be {LAYOUT}"
        )
    empty = [name for name, paths in classes.items() if not paths]
    if empty:
        raise UserError(
            f"no image in {', '.join(empty)} in {where}; every folder there is a class and needs "
            f"one or more files ending in {' '.join(SUFFIXES)}: add images or remove the folder"
        )
    return classes


def _order(name: str) -> tuple[bool, int, str]:
    """Sorts by the number that a name begins with, if any, then by name."""
    number = re.match(r"[0-9]+", name)
    return (number is None, int(number.group()) if number else 0, name)


def _labelled(classes: Classes) -> list[tuple[str, int]]:
    return [(path, label) for label, paths in enumerate(classes.values()) for path in paths]


def _hold_out(
    pool: list[tuple[str, int]], fraction: float, path: Path
) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    labels = np.array([label for _, label in pool])
    train, test = stratified_holdout(labels, fraction, seed=0)
    if not len(test):
        raise UserError(
            f"{path} has no folder test, and {fraction} of its {len(pool)} images is no image to "
            "hold out for the test (every class keeps one): raise --config.task.test_fraction, "
            "or add images"
        )
    logging.info("%s has no test split: %d of %d images held out", path, len(test), len(pool))
    return [pool[i] for i in train], [pool[i] for i in test]


def _examples(split: str, images: list[tuple[str, int]], tree: FileTree) -> Examples:
    def get(index: int) -> Example:
        path, label = images[index]
        printable = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return Example(tree.read(path), label, printable)

    return Examples(split, len(images), get)


def _at(tree: FileTree, base: str) -> str:
    return str(tree.path / base)
