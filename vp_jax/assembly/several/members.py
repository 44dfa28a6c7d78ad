"""The members of a sweep: runs that differ in a few settings and are trained in one program."""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Sequence

from ml_collections import ConfigDict

from vp_jax.assembly.checks import check
from vp_jax.assembly.parts.head import is_probe
from vp_jax.assembly.parts.optimizer import optimizer_name
from vp_jax.assembly.parts.prompt import acting_prompt, with_canonical_prompt
from vp_jax.assembly.several.vary import VARIED as VARIED
from vp_jax.assembly.several.vary import Member, label
from vp_jax.backbones import Backbone
from vp_jax.errors import UserError, unknown
from vp_jax.former_settings import DEFAULTS, refusal
from vp_jax.prompts import parse
from vp_jax.prompts.images.canvas import differing
from vp_jax.records.names import MEMBERS
from vp_jax.step.updates import optimizers


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
    if differing([acting_prompt(own) for own in configs]):
        _check_elementwise(configs[0])
    return configs


def canonical(members: Sequence[Member]) -> list[Member]:
    """Members, checked, with the texts of prompts that all texts of their meaning share."""
    return [
        {name: str(parse(x)) if name == "prompt" else x for name, x in member.items()}
        for member in members
    ]


def sweep_config(config: ConfigDict, members: Sequence[Member]) -> ConfigDict:
    """The settings of the sweep itself, by which its folder is known."""
    sweep = config.copy_and_resolve_references()
    with sweep.unlocked():
        sweep[MEMBERS] = tuple(label(member) for member in members)
    return sweep


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
    tune, by_one = tuple(config.tune), "train these runs one by one with runs.train"
    if not tune or "backbone" in tune:
        raise UserError(
            "many at once are trained by steps over one frozen backbone: config.tune must have "
            f"'prompt', 'head' or both, and is {tune}; {by_one}"
        )
    if config.start.scan:
        raise UserError(
            "config.start.scan chooses the prompt of one run: give its choice as the prompt of all"
        )
    if is_probe(config):
        raise UserError(
            "a linear probe is solved, not trained by steps, one at a time: give "
            f"--config.head.solver=sgd, or {by_one}"
        )


def _check_elementwise(config: ConfigDict) -> None:
    """Refuses prompts of different sizes where they cannot share one shape."""
    name = optimizer_name(config, "prompt")
    if name not in optimizers.ELEMENTWISE:
        raise UserError(
            f"members of different sizes need an optimiser that treats every number alone, and "
            f"{name!r} looks at whole arrays; give one size, or one of "
            f"{', '.join(optimizers.ELEMENTWISE)}"
        )
