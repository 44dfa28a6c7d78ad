"""Images that a CSV names, with their labels: on disk or in archives."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import posixpath
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vp_jax.data.files.file_tree import FileTree, Reader, ReadFolder, digest, open_tree, stamp
from vp_jax.data.sources import classes_file, csv_table
from vp_jax.data.sources.csv_table import Row
from vp_jax.data.sources.folder_layout import Layout, is_image, split_of
from vp_jax.errors import UserError

SUFFIXES = (".csv", ".tsv")
"""What the names of tables end in, in lower case."""

_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")


class Table(NamedTuple):
    """The labelled images of a CSV.

    Attributes:
      layout: classes and splits.
      read: reads an image by its path in the layout.
      class_names: one a label.
      fingerprint: changes when the CSV or a file that it names changes.
      sizes: of the files in bytes, by their paths in the layout; -1 for those that are not there.
    """

    layout: Layout
    read: Reader
    class_names: tuple[str, ...]
    fingerprint: str
    sizes: Mapping[str, int]


class _Place(NamedTuple):
    """Where the paths of a table lead.

    Attributes:
      read: reads a file by its path in the table.
      stamps: lines that change when the files do.
      found: how many of the files are there.
      sizes: of the files in bytes, by path; -1 for those that are not there.
    """

    read: Reader
    stamps: list[str]
    found: int
    sizes: Mapping[str, int]


def arrange(path: pathlib.Path) -> Table:
    """The images of a CSV: see `csv_table.parse` for what it may look like.

    Paths are relative to the folder of the CSV, or absolute. They may lead into an archive, as
    `photos.zip/cat/1.jpg` does; the CSV may be in one with the images, `x.zip/labels.csv`; and if
    none of the files is there but a single archive beside the CSV, they are looked for in that. A
    file that is not there is an image that cannot be read.

    Labels are names or whole numbers. The classes are the labels of train: numbers sorted by size,
    names as those of folders are. They are numbered from 0 on without gaps, and called like their
    labels unless a `classes.txt` beside the CSV names them.

    Raises:
      UserError: the CSV is missing or unfit, none of its files is there, there are too few classes,
        or val or test has a class that train has not.
    """
    archive = next((p for p in path.parents if p.is_file()), None)
    if archive is None:
        content, names_content = _from_disk(path)
        rows = csv_table.parse(content, str(path), named=names_content is not None)
        place = _beside(path, rows)
    else:
        tree = open_tree(archive)
        inside = path.relative_to(archive).as_posix()
        if inside not in tree.files:
            raise UserError(f"there is no file {inside} in {archive}")
        content, folder = tree.read(inside), posixpath.dirname(inside)
        named = posixpath.join(folder, classes_file.NAME)
        names_content = tree.read(named) if named in tree.files else None
        rows = csv_table.parse(content, str(path), named=names_content is not None)
        place = _inside(tree, folder, rows)
    if not place.found:
        bare = not any(is_image(row.path) for row in rows)
        raise UserError(
            f"none of the {len(rows)} files that {path} names is there; the first is "
            f"{rows[0].path!r} in line {rows[0].line}, and paths are relative to {path.parent}"
            + (" and must have their suffix, such as .jpg" if bare else "")
        )
    layout = _layout(rows, path)
    names = layout.classes
    if names_content is not None:
        names = classes_file.parse(names_content, names, str(path.parent / classes_file.NAME))
    whole = [hashlib.sha256(text or b"").hexdigest() for text in (content, names_content)]
    whole += place.stamps
    return Table(layout, place.read, names, digest(whole), place.sizes)


def _from_disk(path: pathlib.Path) -> tuple[bytes, bytes | None]:
    """The content of a CSV, and of the file beside it that names the classes."""
    if not path.is_file():
        raise UserError(f"there is no file {path}; name one with --config.task.data_dir=PATH")
    read = ReadFolder(path.parent)
    beside = (path.parent / classes_file.NAME).is_file()
    return read(path.name), read(classes_file.NAME) if beside else None


def _layout(rows: Sequence[Row], path: pathlib.Path) -> Layout:
    splits: dict[str, list[Row]] = {}
    for row in rows:
        splits.setdefault(split_of(row.split) or "train", []).append(row)
    if "train" not in splits:
        raise UserError(f"{path} has no line of the split train")
    classes = csv_table.class_names(splits["train"])
    if len(classes) < 2:
        raise UserError(f"{path} has only one class, {classes[0]!r}; a task needs two or more")
    label = {name: number for number, name in enumerate(classes)}
    for split, of_split in splits.items():
        unknown = next((row for row in of_split if row.label not in label), None)
        if unknown is not None:
            raise UserError(
                f"{path} has the class {unknown.label!r} in {split} (line {unknown.line}) but not "
                "in train"
            )
    labelled: dict[str, list[tuple[str, int]]] = {
        split: sorted(
            ((row.path, label[row.label]) for row in splits[split]), key=lambda x: (x[1], x[0])
        )
        for split in ("train", "val", "test")
        if split in splits
    }
    return Layout(tuple(classes), labelled)


def _beside(path: pathlib.Path, rows: Sequence[Row]) -> _Place:
    """Files on disk, relative to the folder of the CSV."""
    root = path.parent
    trees: dict[str, FileTree | None] = {}
    stamps, found, sizes = [], 0, {}
    for row in rows:
        prefix = _archive_part(row.path)
        if prefix is not None and prefix not in trees:
            file = root / prefix
            trees[prefix] = open_tree(file) if file.is_file() else None
        tree = None if prefix is None else trees[prefix]
        if prefix is not None and tree is not None:
            stamps.append(row.path)
            sizes[row.path] = tree.sizes.get(row.path[len(prefix) + 1 :], -1)
        else:
            size_and_time = _stamp(root, row.path)
            stamps.append(f"{row.path}\0{size_and_time}")
            sizes[row.path] = size_and_time[0]
        found += sizes[row.path] >= 0
    opened = {prefix: tree for prefix, tree in trees.items() if tree is not None}
    stamps += [f"{tree.path}\0{stamp(tree.path)}" for tree in opened.values()]
    reads = {prefix: tree.read for prefix, tree in opened.items()}
    if not found:
        archives = [p for p in sorted(root.iterdir()) if p.suffix.lower() in _ARCHIVES]
        if len(archives) == 1:
            return _inside(open_tree(archives[0]), "", rows)
    return _Place(_ReadAnywhere(ReadFolder(root), reads), stamps, found, sizes)


def _stamp(root: pathlib.Path, name: str) -> tuple[int, int]:
    try:
        return stamp(os.path.join(root, name))
    except ValueError:  # A null character.
        return -1, -1


def _archive_part(name: str) -> str | None:
    """The beginning of a path that may be an archive."""
    parts = name.split("/")
    for count in range(1, len(parts)):
        if parts[count - 1].lower().endswith(_ARCHIVES):
            return "/".join(parts[:count])
    return None


def _inside(tree: FileTree, folder: str, rows: Sequence[Row]) -> _Place:
    """Files in an archive, relative to a folder of it or to the only folder at its top."""
    names = set(tree.files)

    def found(base: str) -> int:
        return sum(_joined(base, row.path) in names for row in rows)

    tops = {name.partition("/")[0] for name in tree.folders}
    if not found(folder) and len(tops) == 1:
        folder = tops.pop()
    read = _ReadBelow(tree.read, folder)
    sizes = {row.path: tree.sizes.get(_joined(folder, row.path), -1) for row in rows}
    return _Place(read, [tree.fingerprint(names), folder], found(folder), sizes)


def _joined(folder: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(folder, name))


@dataclasses.dataclass(frozen=True)
class _ReadBelow:
    """Reads the files of an archive relative to a folder in it."""

    read: Reader
    folder: str

    def __call__(self, name: str) -> bytes:
        return self.read(_joined(self.folder, name))


@dataclasses.dataclass(frozen=True)
class _ReadAnywhere:
    """Reads files on disk, and those of archives that their paths begin with."""

    on_disk: Reader
    archives: Mapping[str, Reader]

    def __call__(self, name: str) -> bytes:
        prefix = _archive_part(name)
        if prefix is not None and prefix in self.archives:
            return self.archives[prefix](name[len(prefix) + 1 :])
        return self.on_disk(name)
