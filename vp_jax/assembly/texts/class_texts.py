"""What the classes of a run are called, and whether its model can tell their texts apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from vp_jax import distributed, heads
from vp_jax.data import TaskData
from vp_jax.errors import UserError

Tokenize = Callable[[Sequence[str]], np.ndarray]

_SHOWN = 5  # of classes, and of what is wrong with them
_WIDTH = 60  # characters of a name or text


class Reader(NamedTuple):
    """Who reads the class names as texts.

    Attributes:
      name: of the model.
      tokenize: from texts to rows of token ids.
      templates: of the texts.
      remedy: what helps beside other names, as the end of a sentence.
    """

    name: str
    tokenize: Tokenize
    templates: Sequence[str]
    remedy: str = ""


def introduce(task: TaskData, reader: Reader | None, source_classes: Sequence[str] = ()) -> None:
    """Says what a run's classes are and how its model reads them, and warns of what is odd.

    Args:
      task: whose classes they are.
      reader: of their texts; None where no text is read.
      source_classes: of a backbone whose names are compared with theirs.

    Raises:
      UserError: the user has named two classes so that they are one text to the reader.
    """
    names = task.class_names
    said = f"classes: {len(names)}{_from(task)}: {_listed(names)}"
    if reader is None:
        distributed.say(said)
        _say_each([f"{_both(names, group)} have one name" for group in same(names)])
        return
    text = heads.class_texts(names[:1], reader.templates[0])[0]
    more = len(reader.templates) - 1
    others = f" and {more} more of the kind" if more else ""
    distributed.say(f"{said}; the first is read as {shorten(as_read(reader, text))!r}{others}")
    groups = one_text(names, reader)
    if groups and task.named_by_user:
        raise UserError(f"{_one_class(names, groups[0], reader)}: rename one{reader.remedy}")
    _say_each([_one_class(names, group, reader) for group in groups])
    _say_each([_one_class(source_classes, g, reader) for g in one_text(source_classes, reader)])
    _say_each(
        [
            f"the text of label {label}, {shorten(names[label])!r}, is longer than {reader.name} "
            f"reads: it is cut to {shorten(as_read(reader, cut))!r}"
            for label, cut in cut_texts(names, reader)
        ]
    )


def same(items: Sequence[object]) -> list[list[int]]:
    """The positions of items that are equal, a list for each that is there more than once.

    >>> same(["a", "b", "a"])
    [[0, 2]]
    """
    places: dict[object, list[int]] = {}
    for position, item in enumerate(items):
        places.setdefault(item, []).append(position)
    return [found for found in places.values() if len(found) > 1]


def one_text(names: Sequence[str], reader: Reader) -> list[list[int]]:
    """The labels of classes whose texts have the same tokens, with every template."""
    groups = [list(range(len(names)))]
    for template in reader.templates:
        divided = []
        for group in groups:
            texts = heads.class_texts([names[label] for label in group], template)
            rows = [row.tobytes() for row in np.asarray(reader.tokenize(texts))] if texts else []
            divided += [[group[i] for i in found] for found in same(rows)]
        groups = divided
    return groups


def cut_texts(names: Sequence[str], reader: Reader) -> list[tuple[int, str]]:
    """The labels of classes whose longest text has more tokens than are read, and these texts.

    Nothing is known of tokenizers that are not `backbones.clip.tokenizer.Tokenizer`.
    """
    is_cut = getattr(reader.tokenize, "is_cut", None)
    encode = getattr(reader.tokenize, "encode", None)
    if is_cut is None or encode is None:
        return []
    longest = max(reader.templates, key=lambda template: len(encode(template)))
    texts = heads.class_texts(names, longest)
    return [(label, text) for label, text in enumerate(texts) if is_cut(text)]


def as_read(reader: Reader, text: str) -> str:
    """A text as its tokens have it."""
    decode = getattr(reader.tokenize, "decode", None)
    return text if decode is None else decode(reader.tokenize([text])[0])


def shorten(text: str, width: int = _WIDTH) -> str:
    """A text in a line, without its middle where it is too long; its end may be what counts.

    >>> shorten("a very long name", 10)
    'a ver…name'
    """
    text = " ".join(text.split())
    kept = width - 1
    return text if len(text) <= width else f"{text[: kept - kept // 2]}…{text[-(kept // 2) :]}"


def _from(task: TaskData) -> str:
    return f" {task.names_from}" if task.names_from else ""


def _listed(names: Sequence[str]) -> str:
    shown = [shorten(name) for name in names[:_SHOWN]]
    if len(names) > _SHOWN + 1:
        shown.append("...")
    return ", ".join([*shown, shorten(names[-1])] if len(names) > _SHOWN else shown)


def _both(names: Sequence[str], group: Sequence[int]) -> str:
    return " and ".join(f"label {label} ({shorten(names[label])!r})" for label in group)


def _one_class(names: Sequence[str], group: Sequence[int], reader: Reader) -> str:
    text = heads.class_texts([names[group[0]]], reader.templates[0])[0]
    return (
        f"{_both(names, group)} are one class to {reader.name}, which reads "
        f"{'both' if len(group) == 2 else 'all'} as {shorten(as_read(reader, text))!r}"
    )


def _say_each(lines: Sequence[str]) -> None:
    for line in lines[:_SHOWN]:
        distributed.say(f"classes: {line}")
    if len(lines) > _SHOWN:
        distributed.say(f"classes: and {len(lines) - _SHOWN} more of the kind")
