"""Prompts by name, for configs."""

from __future__ import annotations

from typing import Any

from vp_jax.errors import UserError
from vp_jax.prompts.base import Prompt
from vp_jax.prompts.checks import resolve
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
    make, missing = resolve("prompt", name, _PROMPTS, settings)
    if missing:
        raise UserError(f"prompt {name!r} needs the setting {missing[0]!r}")
    return make(**settings)
