"""Which columns of a table hold the paths, the labels and the splits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from vp_jax.data.sources.folder_layout import is_image, split_of
from vp_jax.errors import UserError

NAMES = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "fname")
    + ("image", "img", "image_path", "img_path", "image_name", "img_name", "image_file")
    + ("image_filename", "image_id", "img_id", "id", "name", "images", "filenames"),
    "name": ("class_name", "classname", "class_names", "label_name", "labelname", "label_names")
    + ("category_name", "target_name", "label_text"),
    "label": ("label", "labels", "class", "classes", "category", "target", "class_id", "classid")
    + ("class_index", "class_idx", "label_id", "labelid", "label_idx", "category_id", "target_id"),
    "split": ("split", "subset", "partition", "set"),
}
"""What a header may call the columns, in any case, with blanks or dashes for underscores: those of
paths, of labels that are names, of labels of any kind, and of splits."""

HELP = "a line is path,label or path,label,split, with or without such a header"

Line = tuple[int, list[str]]
"""The number of a line, and its cells."""


class Columns(NamedTuple):
    """Where paths, labels and splits stand, from 0 on; -1 for a split that is not there."""

    path: int
    label: int
    split: int = -1


def is_number(text: str) -> bool:
    """Whether a text is a whole number; it may end in `.0`, as pandas writes them beside gaps."""
    return re.fullmatch(r"[+-]?[0-9]{1,18}(\.0+)?", text) is not None


def has_header(cells: Sequence[str]) -> bool:
    """Whether cells name the columns of paths and of labels."""
    kinds = {_kind(cell) for cell in cells}
    return "path" in kinds and bool(kinds & {"label", "name"})


def find(lines: Sequence[Line], where: str, named: bool = False) -> tuple[Columns, Sequence[Line]]:
    """The columns of a table, and the lines below its header.

    The first line is a header if it has names of `NAMES` for path and label; the columns may then
    stand anywhere. Without a header they are the first two or three. Of several columns that may be
    the path it is the one with most names of images. Of several that may be the label it is the one
    of names rather than numbers, if they all tell apart the same classes.

    Args:
      lines: all of them, the first one not empty.
      where: the path of the table, for messages.
      named: the classes have names from elsewhere, so numbers do.

    Raises:
      UserError: the header is unknown, or there are several columns that may be the label and are
        not of one mind, or none but numbers beside a column that seems to name them.
    """
    (number, header), rows = lines[0], lines[1:]
    if has_header(header):
        table = _Table([header[i] or f"column {i + 1}" for i in range(len(header))], rows, where)
        kinds = [_kind(cell) for cell in header]
        paths = [i for i, kind in enumerate(kinds) if kind == "path"]
        path = max(paths, key=lambda i: sum(map(is_image, table.column(i))))
        splits = [i for i, kind in enumerate(kinds) if kind == "split"]
        valid = [i for i in splits if all(map(split_of, table.column(i)))]
        split = next(iter(valid or splits), -1)
        return Columns(path, _label(table, kinds, path, split, named), split), rows
    if is_image(header[0]):
        if len(header) not in (2, 3):
            raise UserError(f"{where} has {len(header)} cells in line {number}: {HELP}")
        return Columns(0, 1, 2 if len(header) == 3 else -1), lines
    raise UserError(
        f"{where} begins, in line {number}, with {header[0]!r}, which is neither an image by its "
        f"suffix nor a header: {_missing(header)}; {HELP}"
    )


def _kind(cell: str) -> str | None:
    name = re.sub(r"[\s-]+", "_", cell.strip().lower())
    return next((kind for kind, names in NAMES.items() if name in names), None)


def _missing(header: Sequence[str]) -> str:
    """Which columns a header should have, of one that has not both."""
    kinds = {_kind(cell) for cell in header}
    wanted = [] if "path" in kinds else ["the images' paths 'path'"]
    wanted += [] if kinds & {"label", "name"} else ["the classes 'label'"]
    return f"call the column of {' and that of '.join(wanted)}"


class _Table(NamedTuple):
    """The lines below a header.

    Attributes:
      header: what the columns are called.
      rows: the lines.
      where: the path of the table.
    """

    header: Sequence[str]
    rows: Sequence[Line]
    where: str

    def column(self, index: int) -> list[str]:
        """Its cells; those of short lines are empty."""
        return [cells[index] if index < len(cells) else "" for _, cells in self.rows]

    def is_numbers(self, index: int) -> bool:
        """Whether all cells of a column that are not empty are whole numbers."""
        return all(is_number(cell) for cell in self.column(index) if cell)

    def conflict(self, one: int, other: int) -> str | None:
        """Two lines that show that columns tell apart other classes; None if there are none."""
        pairs = list(zip(self.column(one), self.column(other), strict=True))
        for turned in (False, True):
            first: dict[str, tuple[str, int]] = {}
            for (number, _), pair in zip(self.rows, pairs, strict=True):
                key, value = pair[::-1] if turned else pair
                if not key or not value:
                    continue
                seen, line = first.setdefault(key, (value, number))
                if seen != value:
                    return f"{key!r} goes with {seen!r} in line {line} and {value!r} in {number}"
        return None


def _label(table: _Table, kinds: Sequence[str | None], path: int, split: int, named: bool) -> int:
    """The column of the labels."""
    candidates = [i for i, kind in enumerate(kinds) if kind in ("label", "name")]
    texts = [i for i in candidates if not table.is_numbers(i)]
    best = [i for i in texts if kinds[i] == "name"] or texts or candidates
    label = best[0]
    for other in best[1:]:
        if table.column(other) != table.column(label):
            raise UserError(
                f"{table.where} has the columns {table.header[label]!r} and "
                f"{table.header[other]!r}, which may both be the label: remove or rename one"
            )
    for other in candidates:
        conflict = table.conflict(label, other) if other != label else None
        if conflict:
            raise UserError(
                f"{table.where} has the columns {table.header[label]!r} and "
                f"{table.header[other]!r}, which may both be the label and disagree: {conflict}. "
                "Remove or rename the one that is not the label"
            )
    if table.is_numbers(label) and not named:
        _check_no_names(table, label, {*candidates, path, split})
    return label


def _check_no_names(table: _Table, label: int, known: set[int]) -> None:
    """Refuses numbers beside a column that seems to hold the names that they stand for."""
    numbers = len(set(table.column(label)))
    if not 1 < numbers < len(table.rows):
        return
    for index in range(len(table.header)):
        names = table.column(index)
        if index in known or len(set(names)) != numbers or not all(names):
            continue
        if not table.is_numbers(index) and table.conflict(label, index) is None:
            raise UserError(
                f"{table.where} has a number for each class in the column {table.header[label]!r} "
                f"and what may be its name in {table.header[index]!r}: call that column "
                "class_name, or remove it, or name the classes in a classes.txt"
            )
