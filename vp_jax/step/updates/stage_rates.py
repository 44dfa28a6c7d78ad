"""Learning rates of single stages or parameters of a prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import optax

from vp_jax.errors import UserError, unknown

SETTING = "optimizer.learning_rates.stages"


def parse(text: str) -> dict[str, float]:
    """Learning rates by name.

    Raises:
      UserError: it is written otherwise, or a rate is negative or not finite.

    >>> parse("color=0.1, 2=5"), parse("")
    ({'color': 0.1, '2': 5.0}, {})
    """
    found: dict[str, float] = {}
    for item in filter(None, map(str.strip, text.split(","))):
        name, equals, number = map(str.strip, item.partition("="))
        try:
            rate = float(number)
        except ValueError:
            rate = math.nan
        if not name or not 0 <= rate < math.inf or name in found:
            raise UserError(
                f"--config.{SETTING} is {text!r}; it must be NAME=RATE with commas between several,"
                " each of a stage, its number or a parameter, as in 'color=0.1, 2=5.0'"
            )
        found[name] = rate
    return found


def scale(factors: Mapping[str, Any], stages: Sequence[str]) -> optax.GradientTransformation:
    """Multiplies the updates of some stages of a prompt, which are under its name.

    What follows an optimiser whose updates are proportional to its learning rate, as nearly all
    are, gives them a rate of their own.

    Args:
      factors: numbers, which may be traced, by the name of a stage (of all stages of that name), by
        its number, from 0, or by the name of an array or group of arrays within. Of several that
        fit, that of the innermost counts.
      stages: the names of all stages, in order.

    Raises:
      UserError: in `init`, for a name that the prompt does not have.
    """

    def names_of(path: tuple[Any, ...]) -> list[str]:
        _, stage, *inner = (str(getattr(key, "key", getattr(key, "idx", ""))) for key in path)
        return [*inner[::-1], stage, stages[int(stage)]]

    def factor(path: tuple[Any, ...]) -> Any:
        return next((factors[name] for name in names_of(path) if name in factors), 1.0)

    def init(params: Any) -> optax.EmptyState:
        paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(params)]
        known = {name for path in paths for name in names_of(path)}
        for name in factors:
            if name not in known:
                raise unknown(f"stage or parameter in --config.{SETTING}", name, sorted(known))
        return optax.EmptyState()

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        scaled = jax.tree_util.tree_map_with_path(lambda path, u: factor(path) * u, updates)
        return scaled, state

    return optax.GradientTransformation(init, update)
