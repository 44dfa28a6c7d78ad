"""Tables of `path,label` or `path,label,split` as text."""

from __future__ import annotations

import codecs
import csv
import io
import posixpath
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vp_jax.data.sources import csv_columns
from vp_jax.data.sources.csv_columns import HELP, Columns, is_number
from vp_jax.data.sources.folder_layout import class_order, is_image, split_of
from vp_jax.errors import UserError

MAX_LINE = 1 << 20
"""Characters; no line of a table of images is as long."""

_SHOWN = 10


class Row(NamedTuple):
    """A line of a table: its number, and what it says about an image."""

    line: int
    path: str
    label: str
    split: str


def parse(content: bytes, where: str, *, named: bool = False) -> list[Row]:
    """The rows of a table; `csv_columns.find` says which columns count.

    Cells are parted by commas, tabs or semicolons, by the one of these that makes a header or a
    path of the first line, and may be quoted as in CSV; backslashes in paths count as slashes.
    Empty lines are passed over. Where all labels are whole numbers, leading zeros, signs and `.0`
    do not tell them apart.

    Args:
      content: UTF-8 text.
      where: the path of the table, for messages.
      named: the classes have names from elsewhere.

    Raises:
      UserError: the text is no such table, has no rows, names a file twice or an unknown split, a
        cell is missing, or it is not clear which column is which; the lines are named.
    """
    content = content.removeprefix(codecs.BOM_UTF8)
    if not content.strip():
        raise UserError(f"{where} is empty: {HELP}")
    try:
        first = content[:MAX_LINE].lstrip().partition(b"\n")[0].decode("utf-8", "ignore")
        content.decode("utf-8")
    except UnicodeDecodeError as e:
        raise UserError(f"{where} is no UTF-8 text (at byte {e.start}): save it as UTF-8") from e
    reader = csv.reader(_lines(content, where), delimiter=_delimiter(first), strict=True)
    try:
        lines = [(reader.line_num, [c.strip() for c in cells]) for cells in reader if any(cells)]
    except csv.Error as e:
        raise UserError(f"{where} cannot be read at line {reader.line_num}: {e}") from e
    if not lines:
        raise UserError(f"{where} is empty: {HELP}")
    columns, below = csv_columns.find(lines, where, named)
    rows = [_row(number, cells, columns) for number, cells in below]
    problems = list(_problems(rows, columns.split >= 0))
    if problems or not rows:
        shown = "; ".join(problems[:_SHOWN]) or "there are no lines below the header"
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise UserError(f"{where} cannot be used: {shown}{more}. {HELP.capitalize()}")
    return _with_plain_numbers(rows)


def _lines(content: bytes, where: str) -> Iterator[str]:
    """The lines of a text; what is all one line is never read whole."""
    text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="")
    number = 0
    while line := text.readline(MAX_LINE + 1):
        number += 1
        wrong = "a null character, so it is no text" if "\0" in line else None
        wrong = f"more than {MAX_LINE:,} characters" if len(line) > MAX_LINE else wrong
        if wrong:
            raise UserError(f"{where} cannot be read at line {number}: it has {wrong}")
        yield line


def _delimiter(first: str) -> str:
    """What parts the cells of a table with this first line."""
    present = [d for d in ",\t;" if d in first] or [","]
    for fits in (csv_columns.has_header, lambda cells: len(cells) > 1 and is_image(cells[0])):
        for delimiter in present:
            if fits([cell.strip(' "\r') for cell in first.split(delimiter)]):
                return delimiter
    return present[0]


def _row(number: int, cells: Sequence[str], columns: Columns) -> Row:
    def cell(place: int) -> str:
        return cells[place] if 0 <= place < len(cells) else ""

    label = unicodedata.normalize("NFC", cell(columns.label))
    path = cell(columns.path).replace("\\", "/")
    path = posixpath.normpath(path) if path else ""
    return Row(number, path, label, cell(columns.split))


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
    return sorted(labels, key=_size if all(map(is_number, labels)) else class_order)


def _size(number: str) -> int:
    return int(number.partition(".")[0])


def _with_plain_numbers(rows: list[Row]) -> list[Row]:
    if all(is_number(row.label) for row in rows):
        return [row._replace(label=str(_size(row.label))) for row in rows]
    return rows
