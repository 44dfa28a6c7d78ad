"""The arguments of stages: read from annotations, checked, written as text.

An argument is annotated with `int`, `float`, `bool`, `str`, `tuple[float, ...]` or `Prompt`, with
one of the types below, or with one of these `| None`. What it may be is said once, there.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import numbers
import reprlib
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from vp_jax.errors import UserError, unknown
from vp_jax.prompts.base import Prompt


@dataclasses.dataclass(frozen=True)
class AtLeast:
    """A number must not be smaller."""

    least: float


@dataclasses.dataclass(frozen=True)
class AtMost:
    """A number must not be larger."""

    most: float


class OneOf(tuple[str, ...]):
    """A text must be one of these."""


class Initial:
    """An argument says how parameters begin, and nothing of what is done with them."""


Pixels = Annotated[int, AtLeast(1)]
Offset = Annotated[int, AtLeast(0)]
Copies = Annotated[int, AtLeast(1), AtMost(1000)]


class ArgumentError(UserError):
    """An argument of a stage is wrong.

    Attributes:
      argument: its name or its position.
      place: where that is a prompt, and one of its stages is wrong: which.
    """

    def __init__(self, message: str, argument: str | int | None = None, place: int | None = None):
        super().__init__(message)
        self.argument, self.place = argument, place


class Hint(typing.NamedTuple):
    """An annotation: its type, what its values must be, and whether None is one of them."""

    kind: Any
    rules: tuple[Any, ...]
    takes_none: bool


class Argument(typing.NamedTuple):
    """One argument of a stage.

    Attributes:
      hint: what it may be.
      default: its value where it is not given; `inspect.Parameter.empty` where it must be.
      positional: whether it may be given without its name.
    """

    hint: Hint
    default: Any
    positional: bool

    @property
    def is_needed(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty

    @property
    def is_initial(self) -> bool:
        """Whether it only says how parameters begin."""
        return Initial in self.hint.rules

    @property
    def is_prompt(self) -> bool:
        """Whether it is a stage or a chain of several."""
        return self.hint.kind is Prompt


def arguments(make: Callable[..., Any]) -> dict[str, Argument]:
    """The arguments of a function by name, in order.

    Raises:
      TypeError: one has an annotation that cannot be checked, or none.
    """
    hints = typing.get_type_hints(make, include_extras=True)
    found = {}
    for p in inspect.signature(make).parameters.values():
        hint = _read(hints.get(p.name))
        if p.kind not in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) or hint is None:
            raise TypeError(
                f"{make.__name__}: annotate {p.name} with int, float, bool, str, "
                "tuple[float, ...], Prompt or a type of vp_jax.prompts.arguments"
            )
        found[p.name] = Argument(hint, p.default, p.kind is p.POSITIONAL_OR_KEYWORD)
    return found


def bind(
    name: str,
    expected: Mapping[str, Argument],
    values: Sequence[Any],
    named: Mapping[str, Any],
) -> dict[str, Any]:
    """The value of every argument, checked.

    Args:
      name: of the stage.
      expected: as `arguments` reads them.
      values: given without names.
      named: given by name.

    Raises:
      ArgumentError: one is missing, unknown, given twice or of a wrong value.
    """
    positional = [key for key, argument in expected.items() if argument.positional]
    if len(values) > len(positional):
        takes = f"only {' and '.join(positional)}" if positional else "no argument"
        raise ArgumentError(
            f"{name} takes {takes} without a name, and {len(values)} are given", len(positional)
        )
    given = dict(zip(positional, values, strict=False))
    for key in named:
        if key not in expected:
            raise ArgumentError(str(unknown(f"argument of {name}:", key, expected)), key)
        if key in given:
            raise ArgumentError(f"{name}: {key} is given twice", key)
    given |= named
    for key, argument in expected.items():
        if key not in given and argument.is_needed:
            raise ArgumentError(f"{name} needs {key}, as in {example(name, expected)}")
    return {
        key: check(name, key, given[key], argument.hint) if key in given else argument.default
        for key, argument in expected.items()
    }


def check(name: str, key: str, value: Any, hint: Hint) -> Any:
    """The value of an argument as what its annotation says.

    Raises:
      ArgumentError: it is another thing.
    """
    if value is None and hint.takes_none:
        return None
    is_right, meaning, convert = _KINDS[hint.kind]
    least = next((rule.least for rule in hint.rules if isinstance(rule, AtLeast)), None)
    most = next((rule.most for rule in hint.rules if isinstance(rule, AtMost)), None)
    choices = next((rule for rule in hint.rules if isinstance(rule, OneOf)), None)
    if choices is not None:
        if not isinstance(value, str) or value not in choices:
            raise ArgumentError(str(unknown(f"{key} of {name}:", value, choices)), key)
    elif not is_right(value) or not _is_between(least, value, most):
        bound = "" if least is None else f" of at least {least:g}"
        bound += "" if most is None else f" and at most {most:g}"
        raise ArgumentError(
            f"{name}: {key} must be {meaning}{bound}, got {reprlib.repr(value)}", key
        )
    return convert(value)


def write(
    name: str, expected: Mapping[str, Argument], values: Mapping[str, Any], *, initial: bool = True
) -> str:
    """The canonical text of a stage: defaults are left out, what must be given has no name.

    Args:
      name: of the stage.
      expected: as `arguments` reads them.
      values: as `bind` returns them.
      initial: whether to write what only says how parameters begin.
    """
    texts = []
    for key, argument in expected.items():
        if argument.is_needed and argument.positional:
            texts.append(_written(values[key], initial))
        elif values[key] != argument.default and (initial or not argument.is_initial):
            texts.append(f"{key}={_written(values[key], initial)}")
    return f"{name}({', '.join(texts)})" if texts else name


def example(name: str, expected: Mapping[str, Argument]) -> str:
    """How a stage is written, for messages."""
    needed = [f"{key}=..." for key, argument in expected.items() if argument.is_needed]
    return f"{name}({', '.join(needed)})" if needed else name


def _written(value: Any, initial: bool) -> str:
    if isinstance(value, Prompt):
        return str(value) if initial else value.form
    return repr(value)


def _is_between(least: float | None, value: Any, most: float | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


def _is_int(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _are_numbers(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) > 0 and all(map(_is_number, value))


def _float(value: Any) -> float:
    return float(value) + 0.0  # there is one zero


_KINDS: dict[Any, tuple[Callable[[Any], bool], str, Callable[[Any], Any]]] = {
    int: (_is_int, "an int", int),
    float: (_is_number, "a finite number", _float),
    bool: (lambda value: isinstance(value, bool), "True or False", bool),
    str: (lambda value: isinstance(value, str), "a text", str),
    tuple: (
        _are_numbers,
        "several finite numbers, as in (0.5, 0.5, 0.5)",
        lambda value: tuple(map(_float, value)),
    ),
    Prompt: (
        lambda value: isinstance(value, Prompt) and len(value.stages) > 0,
        "a stage, as in pad(30), or several, as in pad(30) | clip",
        lambda value: value.simplest,
    ),
}
"""By type: what is one, what to call it, and how it is made of what is taken for one."""


def _read(hint: Any) -> Hint | None:
    """None for annotations that cannot be checked."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        others = [x for x in typing.get_args(hint) if x is not type(None)]
        inner = _read(others[0]) if len(others) == 1 else None
        return inner and inner._replace(takes_none=True)
    if typing.get_origin(hint) is Annotated:
        inner = _read(hint.__origin__)
        return inner and inner._replace(rules=hint.__metadata__)
    kind = tuple if hint == tuple[float, ...] else hint
    return Hint(kind, (), False) if kind in _KINDS else None
