"""The file `classes.txt`: how the classes of a folder or a CSV are called."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from vp_jax.errors import UserError

NAME = "classes.txt"

_HELP = (
    "write one name a line in the order of the classes, or a line 'class: name' (or class, TAB, "
    "name) for each"
)


def parse(content: bytes, classes: Sequence[str], where: str) -> tuple[str, ...]:
    """The names of classes, from the content of a `classes.txt`.

    Either every line is a name, and the lines are in the order of the classes; or every line is
    `class: name`, or the class, a tab, and its name, in any order. A line with a tab is such a
    pair, and so is one whose text before its first colon is a class. Blanks around names and empty
    lines at the end do not count.

    Args:
      content: UTF-8 text.
      classes: what the classes are called by their folders or in the CSV, in the order of labels.
      where: the path of the file, for messages.

    Raises:
      UserError: a class has no name or two, or a line is empty, stands for no class, or is the
        name of another class than the one it stands for; the lines are named.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise UserError(f"{where} is no UTF-8 text (at byte {e.start}): save it as UTF-8") from e
    lines = [unicodedata.normalize("NFC", line).strip() for line in text.rstrip().splitlines()]
    empty = [number for number, line in enumerate(lines, 1) if not line]
    if empty:
        raise UserError(f"{where} has nothing in {_lines(empty)}: {_HELP}")
    pairs = [_pair(line, classes) for line in lines]
    names = [number for number, pair in enumerate(pairs, 1) if pair is None]
    if not names and pairs:
        return _from_pairs(pairs, classes, where)
    if len(names) < len(lines):
        raise UserError(
            f"{where} mixes lines with and without a class: {_lines(names)} should begin with the "
            f"name of a class; {_HELP}"
        )
    return _from_lines(lines, classes, where)


def _pair(line: str, classes: Sequence[str]) -> tuple[str, str] | None:
    separator = "\t" if "\t" in line else ":"
    key, found, name = line.partition(separator)
    key, name = key.strip(), name.strip()
    return (key, name) if found and (separator == "\t" or key in classes) else None


def _from_pairs(
    pairs: Sequence[tuple[str, str]], classes: Sequence[str], where: str
) -> tuple[str, ...]:
    names: dict[str, str] = {}
    for number, (key, name) in enumerate(pairs, 1):
        if key not in classes:
            raise UserError(f"{where} names in line {number} the class {key!r}, which is not there")
        if key in names:
            raise UserError(f"{where} names the class {key!r} a second time in line {number}")
        if not name:
            raise UserError(f"{where} has no name for the class {key!r} in line {number}")
        names[key] = name
    missing = [name for name in classes if name not in names]
    if missing:
        raise UserError(
            f"{where} has no line for {', '.join(map(repr, missing))}; every class needs one"
        )
    return tuple(names[name] for name in classes)


def _from_lines(lines: Sequence[str], classes: Sequence[str], where: str) -> tuple[str, ...]:
    if len(lines) != len(classes):
        raise UserError(
            f"{where} has {len(lines)} lines, but there are {len(classes)} classes "
            f"({', '.join(classes[:10])}{', ...' if len(classes) > 10 else ''}): {_HELP}"
        )
    for number, (line, name) in enumerate(zip(lines, classes, strict=True), 1):
        if line in classes and line != name:
            raise UserError(
                f"{where} has {line!r} in line {number}, which stands for the class {name!r} and "
                f"is the name of another one; write lines 'class: name'"
            )
    if all(line.startswith(f"{name} ") for line, name in zip(lines, classes, strict=True)):
        raise UserError(
            f"every line of {where} begins with the class it stands for, {classes[0]!r} and so on: "
            "put a tab or a colon after it, so that it is not part of the name"
        )
    return tuple(lines)


def _lines(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:10])) + (", ..." if len(numbers) > 10 else "")
    return f"line{'s' if len(numbers) > 1 else ''} {shown}"
