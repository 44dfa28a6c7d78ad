"""Settings on the command line that `ml_collections` would not read as people type them.

Those are lists of texts, such as `--config.task.class_names=cat,dog`, and the arguments of an
optimiser, which no config names beforehand, such as `--config.optimizer.settings.nesterov=True`.
"""

from __future__ import annotations

import ast
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from vp_jax.config import literal
from vp_jax.errors import UserError

if TYPE_CHECKING:
    from ml_collections import ConfigDict

OPEN = "optimizer.settings"
"""A setting that takes further ones of any name."""

Override = tuple[str, str]
"""The dotted name of a setting and its value as typed."""


def split_off(argv: Sequence[str]) -> tuple[list[str], list[Override]]:
    """Takes the overrides that `put` understands out of a command line.

    Returns:
      The other arguments, and the overrides in their order.

    Raises:
      UserError: one of them has no value.
    """
    rest, found = [], []
    arguments = iter(argv)
    for argument in arguments:
        match = re.fullmatch(r"--?(no)?config\.([^=]+)(=.*)?", argument, re.DOTALL)
        if match is None or not (match[2] in _READ or _is_open(match[2])):
            rest.append(argument)
            continue
        negated, name, value = match.groups()
        if value is not None and not negated:
            found.append((name, value[1:]))
        elif name in _READ and not negated:
            following = next(arguments, None)
            if following is None or following.startswith("--"):
                raise UserError(f"--config.{name} has no value: give --config.{name}=VALUE")
            found.append((name, following))
        elif value is None:  # the way of flags that are True or False
            found.append((name, str(not negated)))
        else:
            raise UserError(f"{argument} is no setting: give --config.{name}=VALUE")
    return rest, found


def put(config: ConfigDict, overrides: Sequence[Override]) -> None:
    """Sets them in a config; a list that is given several times has the items of all.

    Raises:
      UserError: templates that cannot be told apart, or settings of an optimiser that are no pairs.
    """
    lists: dict[str, tuple[Any, ...]] = {}
    for name, value in overrides:
        if name in _READ:
            lists[name] = (*lists.get(name, ()), *_READ[name](value))
        else:
            _put_open(config, name, value)
    config.update_from_flattened_dict(lists)


def _is_open(name: str) -> bool:
    return name == OPEN or name.startswith(f"{OPEN}.")


def _put_open(config: ConfigDict, name: str, text: str) -> None:
    value, key = literal(text), name.removeprefix(f"{OPEN}.")
    pairs = value if name == OPEN else {key: value}
    if not isinstance(pairs, dict) or not all(re.fullmatch(r"\w+", str(k)) for k in pairs):
        raise UserError(
            f"--config.{name}={text} is no argument of an optimizer: give "
            f"--config.{OPEN}.NAME=VALUE, as in --config.{OPEN}.nesterov=True"
        )
    with config.unlocked():
        for key, value in pairs.items():
            with config.optimizer.settings.ignore_type():
                config.optimizer.settings[key] = value


def names(text: str) -> tuple[Any, ...]:
    """Names between commas, or as Python writes a tuple; the path of a text file is a single one.

    >>> names("cat, hot dog"), names("('cat', 'hot dog')"), names("my,classes.txt")
    (('cat', 'hot dog'), ('cat', 'hot dog'), ('my,classes.txt',))
    """
    written = _as_python(text)
    if written is not None:
        return written
    if pathlib.Path(text).suffix == ".txt":
        return (text,)
    parts = _parts(text)
    alone = literal(parts[0]) if len(parts) == 1 else ""
    return parts if isinstance(alone, str) else (alone,)  # a lone number is no name


def templates(text: str) -> tuple[Any, ...]:
    """One text with its commas, or several as Python writes a tuple, or each with a `{}`.

    >>> templates("a photo of a {}, a type of pet.")
    ('a photo of a {}, a type of pet.',)
    >>> templates("a photo of a {}, a drawing of a {}")
    ('a photo of a {}', 'a drawing of a {}')

    Raises:
      UserError: there are several `{}`, and it is unclear where a text ends.
    """
    written = _as_python(text)
    if written is not None:
        return written
    if text.count("{}") <= 1:
        return (text,) if text else ()
    parts = tuple(part.strip() for part in text.split(","))
    if any(part.count("{}") != 1 for part in parts):
        raise UserError(
            f"it is unclear where each of the templates {text!r} ends: write them as in "
            "--config.head.templates=\"('{}', 'a photo of a {}')\", or give the setting once for "
            "each"
        )
    return parts


def sources(text: str) -> tuple[Any, ...]:
    """Names and numbers of source classes, between commas or as Python writes a tuple.

    >>> sources("tabby, 207"), sources("mapping.csv")
    (('tabby', 207), ('mapping.csv',))
    """
    written = _as_python(text)
    if written is not None:
        return written
    if pathlib.Path(text).suffix == ".csv":
        return (text,)
    return tuple(int(part) if part.isdecimal() else part for part in _parts(text))


_READ: dict[str, Callable[[str], tuple[Any, ...]]] = {
    "tune": names,
    "task.class_names": names,
    "head.templates": templates,
    "head.table": sources,
    "logger": names,
}
"""How each setting that is a list is read."""


def _as_python(text: str) -> tuple[Any, ...] | None:
    """The items of a tuple, list or quoted text; None where it is no such thing."""
    if not text.strip().startswith(("(", "[", "'", '"')):
        return None
    try:
        value = ast.literal_eval(text.strip())
    except (SyntaxError, ValueError):
        return None
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _parts(text: str) -> tuple[str, ...]:
    """What stands between commas, without brackets around all and a comma at the end."""
    text = text.strip()
    if text[:1] + text[-1:] in ("()", "[]"):
        text = text[1:-1]
    text = text.strip().removesuffix(",")
    return tuple(part.strip() for part in text.split(",")) if text else ()
