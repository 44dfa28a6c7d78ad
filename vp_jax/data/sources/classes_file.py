"""Files that say how classes are called: `classes.txt` beside a folder or CSV, and others."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from vp_jax.errors import UserError

NAME = "classes.txt"

_HELP = (
    "write one name a line in the order of the classes, or a line 'class: name' (or class, TAB, "
    "name) for each"
)


_SEPARATOR = re.compile(r"[:;]|,(?!\s)")
"""What parts a class and its name; with a blank after it a comma is part of a name."""

_NUMBER_AND_SIGN = re.compile(r"[0-9]+\s*([:;,)=]|\.\s)")

_Pair = tuple[str, str]


def parse(content: bytes, classes: Sequence[str], where: str) -> tuple[str, ...]:
    """The names of classes, from the content of a `classes.txt`.

    Either every line is a name, and the lines are in the order of the classes; or every line is
    `class: name`, in any order. The colon may be a semicolon, a comma without a blank after it, or
    a tab, and the class may be its number, from 0 or from 1 on. A line with a tab is such a pair,
    and so is one whose text before the first such sign is a class. Blanks and double quotes around
    names and empty lines at the end do not count.

    Args:
      content: UTF-8 text.
      classes: what the classes are called by their folders, in the CSV or by the dataset, in the
        order of labels.
      where: the path of the file, for messages.

    Raises:
      UserError: a class has no name or two, or a line is empty, stands for no class, or is the
        name of another class than the one it stands for; or the lines hold more than names, and
        it is not clear what. The lines are named.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise UserError(f"{where} is no UTF-8 text (at byte {e.start}): save it as UTF-8") from e
    lines = [unicodedata.normalize("NFC", line).strip() for line in text.rstrip().splitlines()]
    empty = [number for number, line in enumerate(lines, 1) if not line]
    if empty:
        raise UserError(f"{where} has nothing in {_lines(empty)}: {_HELP}")
    pairs = _pairs(lines, classes, where)
    names = [number for number, pair in enumerate(pairs, 1) if pair is None]
    whole = [pair for pair in pairs if pair is not None]
    if whole and not names:
        return _from_pairs(whole, classes, where)
    if len(names) < len(lines):
        raise UserError(
            f"{where} mixes lines with and without a class: {_lines(names)} should begin with the "
            f"name of a class; {_HELP}"
        )
    return _from_lines([_unquoted(line) for line in lines], classes, where)


def _pairs(lines: Sequence[str], classes: Sequence[str], where: str) -> Sequence[_Pair | None]:
    """The class and the name that each line holds; None for a line that is a name."""
    known = frozenset(classes)
    cut = [_cut(line) for line in lines]
    if not any(pair and pair[0] in known for pair in cut):
        numbered = _by_number(cut, classes, where)
        if numbered is not None:
            return numbered
    return [
        pair if pair and (pair[0] in known or "\t" in line) else None
        for pair, line in zip(cut, lines, strict=True)
    ]


def _cut(line: str) -> _Pair | None:
    """What may be a class and its name; None for a line that nothing parts."""
    found = re.search("\t", line) or _SEPARATOR.search(line)
    if found is None:
        return None
    return _unquoted(line[: found.start()]), _unquoted(line[found.end() :])


def _unquoted(text: str) -> str:
    text = text.strip()
    quoted = len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1]
    return text[1:-1].strip() if quoted else text


def _by_number(
    pairs: Sequence[_Pair | None], classes: Sequence[str], where: str
) -> list[_Pair] | None:
    """The classes and names of lines that begin with the number of a class; None if they do not."""
    whole = [pair for pair in pairs if pair is not None]
    if not whole or len(whole) < len(pairs):
        return None
    first = _first_number([number for number, _ in whole], len(classes))
    if first is None:
        return None
    named = [(classes[int(number) - first], name) for number, name in whole]
    for line, (key, name) in enumerate(named, 1):
        if name in classes and name != key:
            raise UserError(
                f"{where} gives in line {line} the number of the class {key!r} to {name!r}, which "
                "is another one: write lines 'class: name'"
            )
    return named


def _first_number(texts: Sequence[str], count: int) -> int | None:
    """0 or 1 if texts are the so many numbers from there on, in any order; else None."""
    if len(texts) != count or not all(re.fullmatch("[0-9]{1,9}", text) for text in texts):
        return None
    numbers = set(map(int, texts))
    return next((first for first in (0, 1) if numbers == set(range(first, first + count))), None)


def _from_pairs(
    pairs: Sequence[tuple[str, str]], classes: Sequence[str], where: str
) -> tuple[str, ...]:
    names: dict[str, str] = {}
    known = frozenset(classes)
    for number, (key, name) in enumerate(pairs, 1):
        if key not in known:
            raise UserError(f"{where} names in line {number} the class {key!r}, which is not there")
        if key in names:
            raise UserError(f"{where} names the class {key!r} a second time in line {number}")
        if not name:
            raise UserError(f"{where} has no name for the class {key!r} in line {number}")
        names[key] = name
    if _all_numbers(names.values()) and not _all_numbers(names):
        raise UserError(
            f"{where} has numbers for names, such as {pairs[0][1]!r} for {pairs[0][0]!r}: write "
            "how each class is called, or remove the file if it is called as here"
        )
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
    more = _more_than_names(lines, classes)
    if more is not None:
        raise UserError(
            f"every line of {where} {more}: write lines 'class: name', so that it is clear what "
            "the name is"
        )
    return tuple(lines)


def _more_than_names(lines: Sequence[str], classes: Sequence[str]) -> str | None:
    """What lines hold besides names, as far as one can see."""
    pairs = list(zip(lines, classes, strict=True))
    if all(line.startswith((f"{name} ", f"{name},")) for line, name in pairs):
        return f"begins with the class it stands for, {classes[0]!r} and so on"
    if all(line.endswith(f" {name}") and re.search("[0-9]", name) for line, name in pairs):
        return f"ends with the class it stands for, {classes[0]!r} and so on"
    ends = [re.split(r"[:;,]\s*", line)[-1] for line in lines]
    if all(end != line for end, line in zip(ends, lines, strict=True)) and (
        set(ends) == set(classes) or _first_number(ends, len(classes)) is not None
    ):
        return f"ends with a class, as in {lines[0]!r}"
    if all(map(_NUMBER_AND_SIGN.match, lines)):
        return f"begins with a number, as in {lines[0]!r}"
    for verb, parts in (
        ("begins", [line.partition(" ") for line in lines]),
        ("ends", [line.rpartition(" ")[::-1] for line in lines]),
    ):
        numbers, rests = [part[0] for part in parts], {part[2] for part in parts}
        if _first_number(numbers, len(classes)) is not None and len(rests) == len(lines):
            return f"{verb} with a number, as in {lines[0]!r}"
    return None


def _all_numbers(texts: Iterable[str]) -> bool:
    return all(re.fullmatch("[0-9]+", text) for text in texts)


def _lines(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:10])) + (", ..." if len(numbers) > 10 else "")
    return f"line{'s' if len(numbers) > 1 else ''} {shown}"
