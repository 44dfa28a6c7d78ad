"""The members of a sweep: runs that differ in a few settings and are trained in one program."""

from __future__ import annotations

import functools
import itertools
import json
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from vp_jax import heads
from vp_jax.assembly.checks import check, make_prompt
from vp_jax.assembly.head import FITTED
from vp_jax.backbones import Backbone
from vp_jax.config import literal
from vp_jax.errors import UserError, unknown
from vp_jax.prompts.canvas import canvas, canvas_apply
from vp_jax.step import optimizers
from vp_jax.training.experiment import OnCanvas

Member = Mapping[str, Any]
"""Values of settings by their dotted names."""

PLACES = ("prompt.size", "prompt.top", "prompt.left")
VARIED = (
    "seed",
    "optimizer.learning_rate",
    "optimizer.learning_rates.prompt",
    "prompt.init",
    "prompt.scale",
    *PLACES,
)
"""What members may differ in."""

ON_CANVAS = ("pad", "fixed_patch")
"""Prompts whose sizes and places may differ; the other one is at a random place every time."""


def grid(values: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of the values of some settings; the last setting changes fastest.

    >>> grid({"seed": [0, 1], "prompt.size": [4, 8]})[1]
    {'seed': 0, 'prompt.size': 8}
    """
    return [
        dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())
    ]


def parse_vary(text: str) -> dict[str, list[Any]]:
    """The values of every setting in `NAME=VALUE,VALUE;NAME=VALUE`.

    Raises:
      UserError: it is not of this form, or names a setting twice.

    >>> parse_vary("seed=0,1;prompt.init=zeros")
    {'seed': [0, 1], 'prompt.init': ['zeros']}
    """
    values: dict[str, list[Any]] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        name, equals, listed = map(str.strip, part.partition("="))
        texts = [value.strip() for value in listed.split(",")]
        if not (name and equals and all(texts)):
            raise UserError(
                f"--vary has {part!r}; it must be NAME=VALUE,VALUE, and several of them with "
                'semicolons between them, as in --vary="seed=0,1;optimizer.learning_rate=5,10"'
            )
        if name in values:
            raise UserError(f"--vary names {name} twice; list all of its values once")
        values[name] = [literal(value) for value in texts]
    return values


def label(member: Member) -> str:
    """The settings of a member in a line of text.

    >>> label({"seed": 1, "prompt.init": "zeros"})
    'seed=1 prompt.init=zeros'
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
    if differ_in_place(configs):
        _check_places(configs[0])
    return configs


def differ_in_place(configs: Sequence[ConfigDict]) -> bool:
    """Whether prompts cover different pixels, so that only their canvases have one shape."""
    return len({tuple(_get(c, name) for name in PLACES) for c in configs}) > 1


def on_canvases(configs: Sequence[ConfigDict], image_shape: Sequence[int]) -> list[OnCanvas | None]:
    """The prompts of members that differ in place; else nothing for each."""
    if not differ_in_place(configs):
        return [None] * len(configs)
    return [_on_canvas(config, image_shape) for config in configs]


def _on_canvas(config: ConfigDict, image_shape: Sequence[int]) -> OnCanvas:
    unbounded = make_prompt(config, bounded=False)
    make_apply = functools.partial(canvas_apply, bounded=config.prompt.bounded)
    return OnCanvas(canvas(unbounded, image_shape), make_apply)


def _get(config: ConfigDict, name: str) -> Any:
    for key in name.split("."):
        config = config[key]
    return config


def _with_member(config: ConfigDict, member: Member) -> ConfigDict:
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
    return changed


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


def _check_places(config: ConfigDict) -> None:
    """Refuses prompts of different sizes or places where they cannot share one shape."""
    if config.prompt.name not in ON_CANVAS:
        raise UserError(
            f"members with the prompt {config.prompt.name!r} must have one size; different sizes "
            f"can be trained at once with {' and '.join(ON_CANVAS)}"
        )
    if config.optimizer.name not in optimizers.ELEMENTWISE:
        raise UserError(
            f"members of different sizes need an optimiser that treats every number alone, and "
            f"{config.optimizer.name!r} looks at whole arrays; give one size, or one of "
            f"{', '.join(optimizers.ELEMENTWISE)}"
        )
