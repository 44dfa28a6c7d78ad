"""The members of a sweep: runs that differ in a few settings and are trained in one program."""

from __future__ import annotations

import itertools
import json
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from vp_jax import heads
from vp_jax.assembly.checks import check
from vp_jax.assembly.head import FITTED
from vp_jax.assembly.prompt import make_prompt, with_canonical_prompt
from vp_jax.backbones import Backbone
from vp_jax.config import literal
from vp_jax.errors import UserError, brief, unknown
from vp_jax.former_settings import DEFAULTS, refusal
from vp_jax.prompts import parse
from vp_jax.prompts.canvas import differing
from vp_jax.step import optimizers

Member = Mapping[str, Any]
"""Values of settings by their dotted names."""

VARIED = ("seed", "optimizer.learning_rate", "optimizer.learning_rates.prompt", "prompt")
"""What members may differ in."""


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


def member_configs(
    config: ConfigDict, members: Sequence[Member], backbone: Backbone | None = None
) -> list[ConfigDict]:
    """All settings of every member.

    Args:
      config: what they share.
      members: what each has of its own, of `VARIED`; a setting that is not given is `config`'s.
      backbone: one of the user's own, instead of `config.backbone`.

    Raises:
      UserError: settings that cannot work, alone or together in one program; names the member.
    """
    _check_shared(config)
    if not members:
        raise UserError("there is no member to train; give one or more, as in grid({'seed': [0]})")
    configs = []
    for number, member in enumerate(members):
        try:
            configs.append(_with_member(config, member))
            check(configs[-1], backbone)
        except UserError as error:
            raise UserError(f"member {number} ({label(member)}): {error}") from error
    for (i, one), (j, two) in itertools.combinations(enumerate(configs), 2):
        if one.to_dict() == two.to_dict():
            raise UserError(f"the members {i} and {j} are the same run: {label(members[i])}")
    if differing([make_prompt(own) for own in configs]):
        _check_elementwise(configs[0])
    return configs


def canonical(members: Sequence[Member]) -> list[Member]:
    """Members, checked, with the texts of prompts that all texts of their meaning share."""
    return [
        {name: str(parse(x)) if name == "prompt" else x for name, x in member.items()}
        for member in members
    ]


def _with_member(config: ConfigDict, member: Member) -> ConfigDict:
    former = {n.removeprefix("prompt."): x for n, x in member.items() if n.startswith("prompt.")}
    if former.keys() & DEFAULTS.keys():
        raise UserError(refusal(former))
    for name, value in member.items():
        if name not in VARIED:
            raise unknown("setting in which members may differ:", name, VARIED)
        if not isinstance(value, (str, numbers.Real)) or isinstance(value, bool):
            raise UserError(f"{name} is {value!r}; it must be a number or a text")
    changed = config.copy_and_resolve_references()
    try:
        changed.update_from_flattened_dict(dict(member))
    except TypeError as error:
        raise UserError(f"a value is of the wrong type: {error}") from error
    return with_canonical_prompt(changed)


def _check_shared(config: ConfigDict) -> None:
    """Refuses what cannot be trained many at once, whatever the members are."""
    if tuple(config.tune) != ("prompt",):
        raise UserError(
            "many at once are prompts in front of frozen parts: config.tune must be ('prompt',), "
            f"not {tuple(config.tune)}; train these runs one by one with runs.train"
        )
    name = config.head.name
    if name in FITTED and heads.by_name(name).refit == "epoch":
        raise UserError(
            f"the mapping of the head {name!r} is fitted anew to every prompt before every epoch, "
            "which is done one prompt at a time: train these runs one by one with runs.train, or "
            "give --config.head.name=frequency, which is fitted once"
        )


def _check_elementwise(config: ConfigDict) -> None:
    """Refuses prompts of different sizes where they cannot share one shape."""
    if config.optimizer.name not in optimizers.ELEMENTWISE:
        raise UserError(
            f"members of different sizes need an optimiser that treats every number alone, and "
            f"{config.optimizer.name!r} looks at whole arrays; give one size, or one of "
            f"{', '.join(optimizers.ELEMENTWISE)}"
        )
