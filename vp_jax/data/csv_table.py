"""Tables of `path,label` or `path,label,split` as text."""

from __future__ import annotations

import csv
import io
import posixpath
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vp_jax.data.folder_layout import class_order, is_image, split_of
from vp_jax.errors import UserError

COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "img")
    + ("image_path", "img_path", "image_name", "image_file"),
    "label": ("label", "labels", "class", "class_name", "classname", "category", "target"),
    "split": ("split", "subset", "partition", "set"),
}
"""What a header may call the columns, in any case."""

_SHOWN = 10

_HELP = "a line is path,label or path,label,split, with or without such a header"


class Row(NamedTuple):
    """A line of a table: its number, and what it says about an image."""

    line: int
    path: str
    label: str
    split: str


def parse(content: bytes, where: str) -> list[Row]:
    """The rows of a table.

    The first line is a header if it has names of `COLUMNS` for path and label; these columns, and
    the one of the split, may then stand anywhere. Without a header they are the first two or three.
    Cells are parted by commas, or by tabs or semicolons if the first line has no comma, and may be
    quoted as in CSV; backslashes in paths count as slashes. Empty lines are passed over. Where all
    labels are whole numbers, leading zeros and signs do not tell them apart.

    Args:
      content: UTF-8 text.
      where: the path of the table, for messages.

    Raises:
      UserError: the text is no such table, has no rows, names a file twice or an unknown split, or
        a cell is missing; the lines are named.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise UserError(f"{where} is no UTF-8 text (at byte {e.start}): save it as UTF-8") from e
    first = text.lstrip().partition("\n")[0]
    delimiter = next((d for d in ",\t;" if d in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        lines = [(reader.line_num, [c.strip() for c in cells]) for cells in reader if any(cells)]
    except csv.Error as e:
        raise UserError(f"{where} cannot be read at line {reader.line_num}: {e}") from e
    if not lines:
        raise UserError(f"{where} is empty: {_HELP}")
    columns, lines = _columns(lines, where)
    rows = [_row(number, cells, columns) for number, cells in lines]
    problems = list(_problems(rows, "split" in columns))
    if problems or not rows:
        shown = "; ".join(problems[:_SHOWN]) or "there are no lines below the header"
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise UserError(f"{where} cannot be used: {shown}{more}. {_HELP.capitalize()}")
    return _with_plain_numbers(rows)


_Lines = list[tuple[int, list[str]]]


def _columns(lines: _Lines, where: str) -> tuple[dict[str, int], _Lines]:
    """Where path, label and split stand, and the lines below the header."""
    number, cells = lines[0]
    lower = [cell.lower() for cell in cells]
    named = {
        column: next(i for i, cell in enumerate(lower) if cell in names)
        for column, names in COLUMNS.items()
        if any(cell in names for cell in lower)
    }
    if "path" in named and "label" in named:
        return named, lines[1:]
    if len(cells) not in (2, 3):
        raise UserError(f"{where} has {len(cells)} cells in line {number}: {_HELP}")
    by_place = {"path": 0, "label": 1} | ({"split": 2} if len(cells) == 3 else {})
    if is_image(cells[0]):
        return by_place, lines
    raise UserError(
        f"{where} begins, in line {number}, with {cells[0]!r}, which is neither an image by its "
        f"suffix nor a header: {_HELP}"
    )


def _row(number: int, cells: Sequence[str], columns: dict[str, int]) -> Row:
    def cell(column: str) -> str:
        place = columns.get(column, len(cells))
        return cells[place] if place < len(cells) else ""

    label = unicodedata.normalize("NFC", cell("label"))
    path = cell("path").replace("\\", "/")
    return Row(number, posixpath.normpath(path) if path else "", label, cell("split"))


def _problems(rows: Sequence[Row], with_split: bool) -> Iterator[str]:
    seen: dict[str, int] = {}
    for row in rows:
        missing = [name for name in ("path", "label") if not getattr(row, name)]
        if missing:
            yield f"line {row.line} has no {' and no '.join(missing)}"
        elif with_split and split_of(row.split) is None:
            yield f"line {row.line} has the split {row.split!r}, not train, val or test"
        elif row.path in seen:
            yield f"lines {seen[row.path]} and {row.line} both name {row.path}"
        seen.setdefault(row.path, row.line)


def class_names(rows: Sequence[Row]) -> list[str]:
    """The labels of rows, each once: by size where all are whole numbers, else as folders are."""
    labels = {row.label for row in rows}
    return sorted(labels, key=int if all(map(_is_number, labels)) else class_order)


def _is_number(label: str) -> bool:
    return re.fullmatch("[+-]?[0-9]{1,18}", label) is not None


def _with_plain_numbers(rows: list[Row]) -> list[Row]:
    if all(_is_number(row.label) for row in rows):
        return [row._replace(label=str(int(row.label))) for row in rows]
    return rows
