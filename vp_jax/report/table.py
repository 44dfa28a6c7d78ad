"""Tables for the terminal, in plain text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from vp_jax.errors import UserError

_NUMBER = re.compile(r"[-+~]?(\d[\d.,]*(e[-+]?\d+)?|nan|inf)( ?[^\s\d]{1,7})?")
_GAP = "  "


def table(rows: Sequence[Sequence[object]], headers: Sequence[str]) -> str:
    """Lays out rows under headers, each column as wide as its widest cell.

    Columns that hold numbers only, with a unit of up to seven characters or without, are aligned
    to the right. None is shown as `-`, a float with four significant digits.

    Args:
      rows: of cells, one for each header.
      headers: names of the columns.

    Returns:
      The lines, without a newline at the end.

    Raises:
      UserError: a row has not one cell for each header.

    >>> print(table([("zero-shot", 43.0, None), ("prompt", 57.125, "+14.1")], ("run", "%", "gain")))
    run            %   gain
    ---------  -----  -----
    zero-shot     43      -
    prompt     57.12  +14.1
    """
    for number, row in enumerate(rows):
        if len(row) != len(headers):
            raise UserError(
                f"row {number} of a table has {len(row)} cells for {len(headers)} headers: {row!r}"
            )
    header = [_text(cell) for cell in headers]
    body = [[_text(cell) for cell in row] for row in rows]
    columns = list(zip(*body, strict=True)) if body else [()] * len(header)
    right = [_is_numeric(column) for column in columns]
    widths = [max(map(_width, (h, *column))) for h, column in zip(header, columns, strict=True)]
    lines = [header, ["-" * width for width in widths], *body]
    return "\n".join(
        _GAP.join(
            _aligned(cell, width, is_right)
            for cell, width, is_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return " ".join(str(cell).split())


def _is_numeric(column: Sequence[str]) -> bool:
    numbers = [cell for cell in column if cell not in ("-", "")]
    return bool(numbers) and all(_NUMBER.fullmatch(cell) for cell in numbers)


def _width(text: str) -> int:
    """Columns of a terminal that a text takes: wide characters two, combining ones none."""
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def _aligned(text: str, width: int, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space
