"""What the members of a sweep have of their own: combinations of values, as people write them."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vp_jax.config import literal
from vp_jax.errors import UserError, brief

VARIED = (
    "seed",
    "optimizer.learning_rate",
    "optimizer.learning_rates.prompt",
    "optimizer.learning_rates.head",
    "prompt",
)
"""What members may differ in."""

Member = Mapping[str, Any]
"""Values of settings by their dotted names."""


def grid(values: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of the values of some settings; the last setting changes fastest.

    >>> grid({"seed": [0, 1], "prompt": ["pad(4)", "pad(8)"]})[1]
    {'seed': 0, 'prompt': 'pad(8)'}
    """
    return [
        dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())
    ]


def parse_vary(text: str) -> dict[str, list[Any]]:
    """The values of every setting: a JSON object of lists, or `NAME=VALUE,VALUE;NAME=VALUE`.

    Raises:
      UserError: it is of neither form, or names a setting twice.

    >>> parse_vary('{"prompt": ["normalize | pad(10)", "normalize | pad(30)"], "seed": [0, 1]}')
    {'prompt': ['normalize | pad(10)', 'normalize | pad(30)'], 'seed': [0, 1]}
    >>> parse_vary("seed=0,1;optimizer.learning_rate=5,10")
    {'seed': [0, 1], 'optimizer.learning_rate': [5, 10]}
    """
    if text.lstrip().startswith(("{", "[")):
        return _from_json(text)
    return _once(_from_short_form(text))


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"--vary names {name} twice; list all of its values once")
    return dict(pairs)


def _from_json(text: str) -> dict[str, list[Any]]:
    example = """as in --vary='{"prompt": ["pad(10)", "pad(30)"], "seed": [0, 1, 2]}'"""
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError(f"--vary is no JSON ({brief(error)}); write it {example}") from error
    if not isinstance(found, dict):
        raise UserError(f"--vary must be a JSON object of lists, {example}")
    for name, values in found.items():
        if not isinstance(values, list) or not values:
            raise UserError(f"--vary has {name} without a list of values; write it {example}")
    return found


def _from_short_form(text: str) -> list[tuple[str, list[Any]]]:
    pairs = []
    for part in filter(None, map(str.strip, text.split(";"))):
        name, equals, listed = map(str.strip, part.partition("="))
        texts = [value.strip() for value in listed.split(",")]
        if not (name and equals and all(texts)):
            raise UserError(
                f"--vary has {part!r}; it must be NAME=VALUE,VALUE, and several of them with "
                'semicolons between them, as in --vary="seed=0,1;optimizer.learning_rate=5,10"'
            )
        if any(value.count("(") != value.count(")") for value in texts):
            raise UserError(
                f"--vary has {part!r}, in which it is unclear where a value ends; write it as "
                f"JSON, as in --vary='{json.dumps({name: ['pad(10)', 'pad(30)']})}'"
            )
        pairs.append((name, [literal(value) for value in texts]))
    return pairs


def label(member: Member) -> str:
    """The settings of a member in a line of text.

    >>> label({"seed": 1, "prompt": "pad(4)"})
    'seed=1 prompt=pad(4)'
    """
    texts = (v if isinstance(v, str) else json.dumps(v) for v in member.values())
    return " ".join(f"{name}={text}" for name, text in zip(member, texts, strict=True))


def members_of(labels: Sequence[str]) -> list[dict[str, Any]]:
    """The members that `label` has made these texts of.

    Raises:
      ValueError: one of them is no such text.

    >>> members_of(["seed=1 prompt=normalize | pad(4, scale=2)"])
    [{'seed': 1, 'prompt': 'normalize | pad(4, scale=2)'}]
    """
    return [dict(_pairs(text)) for text in labels]


def _pairs(text: str) -> list[tuple[str, Any]]:
    names = "|".join(map(re.escape, VARIED))
    starts = list(re.finditer(rf"(?:^| )({names})=", text))
    if text and (not starts or starts[0].start()):
        raise ValueError(f"{text!r} is no member")
    ends = [match.start() for match in starts[1:]] + [len(text)]
    values = [text[m.end() : end] for m, end in zip(starts, ends, strict=True)]
    return [
        (m[1], value if m[1] == "prompt" else json.loads(value))
        for m, value in zip(starts, values, strict=True)
    ]


def as_vary(members: Sequence[Member]) -> str | None:
    """The text from which `parse_vary` and `grid` make these members; None where they are no grid.

    >>> as_vary([{"seed": 0}, {"seed": 1}])
    '{"seed": [0, 1]}'
    """
    names = list(dict.fromkeys(name for member in members for name in member))
    if not names or any(list(member) != names for member in members):
        return None
    values = {name: list(dict.fromkeys(member[name] for member in members)) for name in names}
    return json.dumps(values, ensure_ascii=False) if grid(values) == list(members) else None
