"""What the builders of WILDS's datasets share (Koh et al. 2021, arXiv 2012.07421).

An official archive is a folder with a table of metadata, one image a line, and the images. It is
read where it lies, extracted or not; nothing is written but tfds's own files.
"""

from __future__ import annotations

import abc
import csv
import importlib.util
import io
import itertools
import pathlib
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import tensorflow_datasets as tfds

from vp_jax.data.builders.manual_files import manual_folder, missing
from vp_jax.data.files.file_tree import FileTree, ReadArchive, open_tree
from vp_jax.errors import UserError, brief, unknown

ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar")

_IN_MEMORY = 1000 << 20
"""Bytes of a split above which tfds sorts it on disk, which it does with TensorFlow."""


class Row(NamedTuple):
    """A line of a table: its number, the table's path, and its cells by column."""

    line: int
    table: str
    cells: Mapping[str, str]

    @property
    def where(self) -> str:
        """The line in words."""
        return f"line {self.line} of {self.table}"

    def number(self, column: str, below: int | None = None) -> int:
        """A cell that is a whole number from 0 on, such as 7 or 7.0.

        Raises:
          UserError: it is not, or not less than `below`.
        """
        text = self.cells[column]
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if value < 0 or not value.is_integer() or (below is not None and value >= below):
            limits = "from 0 on" if below is None else f"from 0 to {below - 1}"
            raise UserError(f"{self.where}: {column!r} is {text!r}, no whole number {limits}")
        return int(value)

    def choice(self, column: str, valid: Iterable[str]) -> str:
        """A cell that is one of some words.

        Raises:
          UserError: it is another.
        """
        if self.cells[column] not in valid:
            raise unknown(f"{column} in {self.where}:", self.cells[column], valid)
        return self.cells[column]


class Image(NamedTuple):
    """An image that a table names.

    Attributes:
      line: number of the line; it tells images of one path from each other.
      path: in the archive.
      split: None if it belongs to none.
      features: the example's features but for the image and its name.
    """

    line: int
    path: str
    split: str | None
    features: Mapping[str, Any]


class Archive:
    """The files of an official archive, extracted or not.

    Attributes:
      path: of the folder or the archive file.
    """

    def __init__(self, path: pathlib.Path, table: str):
        """Lists the files; a compressed archive is decompressed into a temporary file.

        Raises:
          UserError: it cannot be read, or has no file of the name of `table`.
        """
        self.path = path
        if path.is_file() and path.suffix != ".tar":
            size = f"{path.stat().st_size / 1e9:,.1f} GB"
            place = tempfile.gettempdir()
            print(f"{path}, {size}, is decompressed into {place}", file=sys.stderr)
        self._tree: FileTree = open_tree(path)
        self._files = frozenset(self._tree.files)
        tables = [f for f in self._tree.files if f.rpartition("/")[2] == table]
        if not tables:
            raise UserError(f"{path} has no {table}: it is no official archive, or not complete")
        top = min(tables, key=lambda file: (file.count("/"), file))
        self._prefix = top.removesuffix(table)

    def __contains__(self, path: str) -> bool:
        return self._prefix + path in self._files

    def where(self, path: str) -> str:
        """A file's path for messages."""
        return f"{self.path}/{self._prefix}{path}"

    def read(self, path: str) -> bytes:
        """The bytes of a file.

        Raises:
          UserError: it cannot be read.
        """
        return self._tree.read(self._prefix + path)

    def size(self, path: str) -> int:
        """The length of a file in bytes."""
        name = self._prefix + path
        if isinstance(self._tree.read, ReadArchive):
            return self._tree.read.members[name].size
        return self._tree.stamps[name][0]

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Row]:
        """The lines of a CSV file with a header.

        Raises:
          UserError: it is missing, no CSV in UTF-8, or has not these columns; or a line has fewer
            cells than the header.
        """
        path = self.where(table)
        if table not in self:
            raise UserError(f"{path} is missing: get the archive again")
        text = io.TextIOWrapper(io.BytesIO(self.read(table)), encoding="utf-8-sig", newline="")
        reader = csv.DictReader(text)
        try:
            absent = [column for column in columns if column not in (reader.fieldnames or ())]
            if absent:
                has = ", ".join(filter(None, reader.fieldnames or ())) or "none"
                raise UserError(f"{path} has no column {absent[0]!r}; it has: {has}")
            for cells in reader:
                row = Row(reader.line_num, path, {column: cells[column] for column in columns})
                if None in row.cells.values():
                    raise UserError(f"{row.where} has fewer cells than the header")
                yield row
        except (csv.Error, UnicodeDecodeError) as e:
            raise UserError(f"{path} cannot be read as CSV in UTF-8: {brief(e)}") from e


class WildsBuilder(  # type: ignore[call-arg] # tfds has no types
    tfds.core.GeneratorBasedBuilder, skip_registration=True
):
    """A dataset of WILDS: a subclass says what is in the table, and which images are in a split.

    The features are `image`, the file's bytes as they are, `file_name`, its path in the archive,
    `label` and the domain. The splits are `train`, `val` and `test`, the latter two
    out-of-distribution, and `id_val` and, where WILDS has it, `id_test` from the training domains.
    """

    FOLDER: ClassVar[str]
    """What WILDS calls the extracted archive."""
    TABLE: ClassVar[str] = "metadata.csv"
    SPLITS: ClassVar[tuple[str, ...]] = ("train", "val", "test", "id_val", "id_test")

    @abc.abstractmethod
    def _images(self, archive: Archive) -> Iterator[Image]:
        """The images that the table names, in its order."""

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        archive = Archive(self._find(dl_manager), self.TABLE)
        splits: dict[str, list[Image]] = {name: [] for name in self.SPLITS}
        for image in self._images(archive):
            if image.split is not None:
                splits[image.split].append(image)
        _check_there(archive, self.TABLE, splits)
        _check_memory(archive, splits)
        return {name: self._generate_examples(archive, images) for name, images in splits.items()}

    def _generate_examples(
        self, archive: Archive, images: Sequence[Image]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for image in images:
            content = io.BytesIO(archive.read(image.path))
            yield image.line, {"image": content, "file_name": image.path, **image.features}

    def _find(self, dl_manager: Any) -> pathlib.Path:
        folder = manual_folder(dl_manager, self.MANUAL_DOWNLOAD_INSTRUCTIONS)
        names = [self.FOLDER, *(self.FOLDER + suffix for suffix in ARCHIVE_SUFFIXES)]
        for name in names:
            if (folder / name).exists():
                return folder / name
        if (folder / self.TABLE).is_file():
            return folder
        what = f"there is no {' and no '.join(names)} in {folder}"
        raise missing(what, self.MANUAL_DOWNLOAD_INSTRUCTIONS)


def manual_instructions(folder: str, url: str) -> str:
    """The sentence that says which file to put where."""
    return (
        f"Put {folder}.tar.gz of WILDS, which {url} serves, or the folder {folder} that it is "
        "extracted into, into the folder of files fetched by hand (manual_dir)."
    )


def _check_there(archive: Archive, table: str, splits: Mapping[str, Sequence[Image]]) -> None:
    """Refuses an archive without all images that the table names, or with none of a split."""
    for name, images in splits.items():
        if not images:
            raise UserError(f"{archive.where(table)} has no image of the split {name!r}")
    everything = sorted(itertools.chain(*splits.values()), key=lambda image: image.line)
    absent = [image for image in everything if image.path not in archive]
    if absent:
        raise UserError(
            f"{len(absent):,} of {len(everything):,} images are not in {archive.path}; the first "
            f"is {absent[0].path} in line {absent[0].line} of {table}: get the archive again"
        )


def _check_memory(archive: Archive, splits: Mapping[str, Sequence[Image]]) -> None:
    """Says beforehand what tfds would find out after a long time."""
    if importlib.util.find_spec("tensorflow") is not None:
        return
    largest = max(sum(archive.size(image.path) for image in images) for images in splits.values())
    if largest > _IN_MEMORY:
        raise UserError(
            f"there are too many images in {archive.path} for tfds to prepare without TensorFlow: "
            "pip install 'vp_jax[data]'. Reading the prepared dataset does not need it"
        )
