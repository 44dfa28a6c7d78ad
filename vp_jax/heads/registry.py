"""Heads by name, for configs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from vp_jax.errors import UserError
from vp_jax.heads.base import Head, Params
from vp_jax.heads.descriptions import described, descriptions
from vp_jax.heads.linear import fully_connected, linear
from vp_jax.heads.mappings.bayesian import bayesian, bayesian_plus
from vp_jax.heads.mappings.first_k import first_k
from vp_jax.heads.mappings.fixed import fixed
from vp_jax.heads.mappings.frequency import frequency, iterative
from vp_jax.heads.mappings.indices import select
from vp_jax.heads.mappings.mean_frequency import mean_frequency, mean_iterative
from vp_jax.heads.mappings.random import random
from vp_jax.heads.mappings.semantic import semantic
from vp_jax.heads.on_top import NAMES as ON_TOP
from vp_jax.heads.residual import residual
from vp_jax.heads.temperature import temperature
from vp_jax.heads.text import text, text_head
from vp_jax.prompts.checks import resolve

_HEADS: dict[str, Callable[..., Head]] = {
    "first_k": first_k,
    "fixed": fixed,
    "random": random,
    "frequency": frequency,
    "iterative": iterative,
    "mean_frequency": mean_frequency,
    "mean_iterative": mean_iterative,
    "bayesian": bayesian,
    "bayesian_plus": bayesian_plus,
    "semantic": semantic,
    "fully_connected": fully_connected,
    "linear": linear,
    "text": text,
    "descriptions": descriptions,
    "residual": residual,
    "temperature": temperature,
}


def names() -> tuple[str, ...]:
    """The names of all heads."""
    return tuple(_HEADS)


def restored(name: str, base: str = "text") -> Head:
    """The head of this name for parameters that are there already; its `init` makes none.

    Args:
      name: one of `names()`.
      base: of a head that stands on another one: the name of that.

    Raises:
      UserError: a name is unknown, or nothing stands on such a base.
    """
    if name in ON_TOP:
        return by_name(name, base=restored(base))._replace(init=_no_init)
    if name == "text":
        return Head("features", _no_init, text_head, trainable=True, name=name)
    if name == "descriptions":
        return Head("features", _no_init, described, trainable=False, name=name)
    if name in ("semantic", "fixed"):
        return Head("logits", _no_init, select, trainable=False, name=name)
    return by_name(name)._replace(init=_no_init)


def _no_init(rng: jax.Array | None, inputs: int, classes: int) -> Params:
    raise UserError("this head was restored with its parameters; make another one to draw them")


def by_name(name: str, **settings: Any) -> Head:
    """Makes the head of this name with these settings.

    Args:
      name: one of `names()`.
      **settings: the arguments of that function, by name. `"text"`, `"descriptions"` and
        `"semantic"` have arguments that are arrays, computed from a text tower; `"residual"` and
        `"temperature"` have another head.

    Returns:
      The head.

    Raises:
      UserError: for unknown names of heads or settings, with the nearest valid ones, for missing
        settings, and for values of the wrong type or out of range.

    >>> by_name("iterative", many_to_one=True).refit
    'epoch'
    """
    make, missing = resolve("head", name, _HEADS, settings)
    if missing:
        raise UserError(
            f"head {name!r} needs {' and '.join(map(repr, missing))}: give them here, or call"
            f" heads.{name} with them"
        )
    return make(**settings)
