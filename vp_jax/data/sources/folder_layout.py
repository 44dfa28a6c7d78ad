"""Which file of a folder is an image of which class and split."""

from __future__ import annotations

import collections
import posixpath
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vp_jax.data.files.file_tree import FileTree, printable
from vp_jax.errors import UserError

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".bmp", ".dib", ".webp", ".avif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2", ".j2k"),
)
"""What the names of images end in, in lower case; other files are none."""

UNREAD_SUFFIXES = (".heic", ".heif", ".svg", ".jxl", ".psd")
"""Images too, of kinds that are refused one by one rather than passed over."""

SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""What the folders of splits are called, in any case."""

LAYOUT = "CLASS/IMAGE or {train,val,test}/CLASS/IMAGE"

_BY_NAME = {name: split for split, names in SPLITS.items() for name in names}

_SHOWN = 20

Classes = dict[str, list[str]]
"""The images of each class, classes and images in order."""


class Layout(NamedTuple):
    """The labelled images of a dataset.

    Attributes:
      classes: what folders or labels call the classes, in the order of the labels.
      splits: for `"train"`, and for `"val"` and `"test"` where there are such, the images' paths
        and labels, sorted by label and then by path.
      base: the folder that the layout begins in, with a slash at its end unless it is the top.
    """

    classes: tuple[str, ...]
    splits: Mapping[str, Sequence[tuple[str, int]]]
    base: str = ""


def split_of(name: str) -> str | None:
    """The split that a folder or a cell of a table names: `"train"`, `"val"`, `"test"` or None."""
    return _BY_NAME.get(name.strip().lower())


def is_image(path: str) -> bool:
    """Whether a file is an image by its suffix."""
    return posixpath.splitext(path)[1].lower() in SUFFIXES + UNREAD_SUFFIXES


def class_order(name: str) -> tuple[bool, int, str]:
    """Sorts by the number that a name begins with, if any, then by name."""
    number = re.match(r"[0-9]+", name)
    return (number is None, int(number.group()) if number else 0, name)


def arrange(tree: FileTree) -> Layout:
    """Finds the images of each class, for each split that the folders tell apart.

    The layout is `CLASS/IMAGE` or `{train,val,test}/CLASS/IMAGE`, below the top or below the only
    folder in it. Classes are sorted by name, those that begin with a number by that number. Names
    are in Unicode's form NFC, whatever form the file system has.

    Raises:
      UserError: the layout is another one, or there are no images, or too few classes.
    """
    images = [name for name in tree.files if is_image(name)]
    if not images:
        raise UserError(
            f"there is no image in {tree.path}{_instead(tree)}; an image is a file that ends in "
            f"{' '.join(SUFFIXES)}, and the layout must be {LAYOUT}"
        )
    base = _base(tree, images)
    tops = _folders(tree, base)
    if _has_splits(images, base, tops):
        splits = _splits(tree, images, base, tops)
    else:
        splits = {"train": _classes(tree, images, base)}
    classes = tuple(splits["train"])
    if len(classes) < 2:
        raise UserError(
            f"{_at(tree, base)} has only one class, {', '.join(map(repr, classes))}; a task needs "
            f"two or more, laid out as {LAYOUT}"
        )
    label = {name: number for number, name in enumerate(classes)}
    labelled = {
        split: [(path, label[name]) for name in classes for path in found.get(name, ())]
        for split, found in splits.items()
    }
    return Layout(classes, labelled, base)


def _instead(tree: FileTree) -> str:
    suffixes = collections.Counter(
        posixpath.splitext(name)[1] or "no suffix" for name in tree.files
    )
    if not suffixes:
        return ""
    shown = ", ".join(f"{count} with {suffix}" for suffix, count in suffixes.most_common(5))
    return f" (of its {len(tree.files)} files: {shown})"


def _base(tree: FileTree, images: list[str]) -> str:
    """Where the layout begins: below folders that are alone and hold folders only."""
    base = ""
    while True:
        tops = _folders(tree, base)
        if len(tops) != 1:
            return base
        inner = f"{base}{tops.pop()}"
        above = any(posixpath.dirname(name) in (base.rstrip("/"), inner) for name in images)
        if split_of(posixpath.basename(inner)) or above or not _folders(tree, f"{inner}/"):
            return base
        base = f"{inner}/"


def _folders(tree: FileTree, base: str) -> set[str]:
    """The names of the folders directly in `base`."""
    return {
        name[len(base) :] for name in tree.folders if posixpath.dirname(name) == base.rstrip("/")
    }


def _has_splits(images: list[str], base: str, tops: set[str]) -> bool:
    """Whether the folders `tops` are splits, and not classes one of which is called train."""
    if tops and all(map(split_of, tops)):
        return True
    train = {f"{base}{top}" for top in tops if split_of(top) == "train"}
    return bool(train) and all(posixpath.dirname(name) not in train for name in images)


def _splits(tree: FileTree, images: list[str], base: str, tops: set[str]) -> dict[str, Classes]:
    """The classes of each split."""
    where = _at(tree, base)
    folders: dict[str, str] = {}
    for top in sorted(tops):
        split = split_of(top)
        if split in folders:
            raise UserError(
                f"{where} has both {folders[split]} and {top}, which name the same split: join or "
                "rename one of them"
            )
        if split is not None:
            folders[split] = top
    if "train" not in folders:
        raise UserError(
            f"{where} has {', '.join(sorted(tops))} but no train; the layout must be {LAYOUT}"
        )
    for name in images:
        if name[len(base) :].split("/")[0] not in folders.values():
            raise UserError(
                f"{where} has a folder {folders['train']}, so the folders beside it must be val "
                f"and test; but there is an image {printable(name)}: the layout must be {LAYOUT}"
            )
    splits = {
        split: _classes(tree, images, f"{base}{folders[split]}/", may_be_empty=split == "val")
        for split in SPLITS
        if split in folders
    }
    for split in ("val", "test"):
        if split in splits:
            _check_classes(splits, split, where)
    return splits


def _check_classes(splits: Mapping[str, Classes], split: str, where: str) -> None:
    """Refuses classes that train has not; the lack of others is said when the images are read."""
    more = [name for name in splits[split] if name not in splits["train"]]
    less = [name for name in splits["train"] if name not in splits[split]]
    if more:
        differ = f"only {split} has {_listed(more)}"
        differ += f"; only train has {_listed(less)}" if less and split == "test" else ""
        raise UserError(
            f"train and {split} in {where} have different classes: {differ}. "
            "Rename, add or remove folders so that they agree"
        )


def _classes(tree: FileTree, images: list[str], base: str, may_be_empty: bool = False) -> Classes:
    """The classes directly in `base`; every image is in one of them."""
    names = {unicodedata.normalize("NFC", name) for name in _folders(tree, base)}
    classes: Classes = {name: [] for name in sorted(names, key=class_order)}
    where = _at(tree, base)
    for name in images:
        if not name.startswith(base):
            continue
        folder, slash, rest = name[len(base) :].partition("/")
        if not slash or "/" in rest:
            place = "too deep" if slash else "in no class's folder"
            raise UserError(
                f"the image {printable(name)} in {tree.path} lies {place}; the layout must be "
                f"{LAYOUT}"
            )
        classes[unicodedata.normalize("NFC", folder)].append(name)
    if not classes:
        raise UserError(
            f"{where} has no folders, so there are no classes; the layout must be {LAYOUT}"
        )
    for name in _folders_like_images(tree, base):
        folder = name[len(base) :].partition("/")[0]
        classes[unicodedata.normalize("NFC", folder)].append(name)
    empty = [name for name, paths in classes.items() if not paths]
    if (empty and not may_be_empty) or len(empty) == len(classes):
        raise UserError(
            f"no image in {_listed(empty)} in {where}; every folder there is a class and needs "
            f"one or more files ending in {' '.join(SUFFIXES)}: add images or remove the folder"
        )
    return classes


def _folders_like_images(tree: FileTree, base: str) -> list[str]:
    """Folders in a class's folder that are called like images: reading them says what they are."""
    return sorted(
        name
        for name in tree.folders
        if name.startswith(base) and name[len(base) :].count("/") == 1 and is_image(name)
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(printable, names[:_SHOWN])) + more


def _at(tree: FileTree, base: str) -> str:
    return printable(str(tree.path / base))
