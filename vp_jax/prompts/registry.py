"""Prompts by name, for configs."""

from __future__ import annotations

import inspect
from typing import Any

from vp_jax.errors import UserError, unknown
from vp_jax.prompts.base import Prompt
from vp_jax.prompts.fixed_patch import fixed_patch
from vp_jax.prompts.pad import pad
from vp_jax.prompts.random_patch import random_patch

_PROMPTS = {"pad": pad, "fixed_patch": fixed_patch, "random_patch": random_patch}


def by_name(name: str, **settings: Any) -> Prompt:
    """Makes the prompt of this name with these settings.

    Args:
      name: `"pad"`, `"fixed_patch"` or `"random_patch"`.
      **settings: the arguments of that function, by name.

    Returns:
      The prompt.

    Raises:
      UserError: for unknown names of prompts or settings, with the nearest valid ones, for
        missing settings, and for values of the wrong type or out of range.

    >>> by_name("pad", size=30).init  # doctest: +ELLIPSIS
    <function pad.<locals>.init_fn at 0x...>
    """
    if not isinstance(name, str) or name not in _PROMPTS:
        raise unknown("prompt", name, _PROMPTS)
    make = _PROMPTS[name]
    parameters = inspect.signature(make).parameters
    for setting in settings:
        if setting not in parameters:
            raise unknown(f"setting of prompt {name!r}:", setting, parameters)
    for parameter in parameters.values():
        if parameter.default is parameter.empty and parameter.name not in settings:
            raise UserError(f"prompt {name!r} needs the setting {parameter.name!r}")
    return make(**settings)
