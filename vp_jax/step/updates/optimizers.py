"""Any optimiser of optax by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from numbers import Number
from typing import Any

import optax

from vp_jax.errors import UserError, unknown

NEED_THE_LOSS = ("lbfgs", "polyak_sgd")  # their update takes the loss as a further argument

ELEMENTWISE = (
    *("adabelief", "adadelta", "adagrad", "adam", "adamax", "adamaxw", "adamw", "adan", "amsgrad"),
    *("lion", "radam", "rmsprop", "rprop", "sgd", "sign_sgd", "signum"),
)
"""Optimisers whose update of a number does not depend on the others, nor on how they are arranged;
a number whose gradient is always zero, and which is zero, stays so."""


def _optimizers() -> dict[str, Any]:
    found = {}
    for name, function in vars(optax).items():
        if not inspect.isfunction(function) or name in NEED_THE_LOSS:
            continue
        if "learning_rate" in inspect.signature(function).parameters:
            found[name] = function
    return found


def _check(
    name: str, arguments: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter]
) -> None:
    """Refuses arguments that the optimiser does not have, and values of another kind."""
    valid = [key for key in parameters if key != "learning_rate"]
    for key, value in arguments.items():
        if key == "learning_rate":
            raise UserError(
                "the learning rate is no setting of the optimizer: give "
                "--config.optimizer.learning_rate"
            )
        if key not in valid:
            raise unknown(f"setting of the optimizer {name}", key, valid)
        default = parameters[key].default
        wanted = "True or False" if isinstance(default, bool) else "a number"
        is_right = isinstance(value, bool) == isinstance(default, bool)
        if isinstance(default, int | float) and not (is_right and isinstance(value, Number)):
            raise UserError(
                f"the setting {key} of the optimizer {name} is {value!r}; it must be {wanted}: "
                f"correct --config.optimizer.settings.{key}"
            )


def by_name(
    name: str,
    learning_rate: optax.ScalarOrSchedule,
    *,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    mask: Callable[[Any], Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> optax.GradientTransformation:
    """An optax optimiser.

    Args:
      name: of a function of optax that takes a `learning_rate`, such as `sgd`, `adam`, `lion`.
      learning_rate: a number or a schedule.
      momentum: of `sgd`; other optimisers take theirs from `settings`.
      weight_decay: added to the gradient times the parameters (L2), or handed to the optimiser
        where it has a `weight_decay` of its own (decoupled, as in `adamw`).
      mask: maps parameters to a tree of bools, which of them decay; all by default.
      settings: further arguments of the optimiser.

    Raises:
      UserError: unknown optimiser or setting, or a setting it refuses.
    """
    optimizers = _optimizers()
    if name not in optimizers:
        raise unknown("optimizer", name, sorted(optimizers))
    function = optimizers[name]
    parameters = inspect.signature(function).parameters
    arguments = dict(settings or {})
    _check(name, arguments, parameters)
    if name == "sgd":
        arguments.setdefault("momentum", momentum or None)
    before = optax.identity()
    if weight_decay and "weight_decay" in parameters:
        arguments.setdefault("weight_decay", weight_decay)
        if mask is not None and "mask" in parameters:
            arguments.setdefault("mask", mask)
    elif weight_decay:
        before = optax.add_decayed_weights(weight_decay, mask)
    try:
        return optax.chain(before, function(learning_rate, **arguments))
    except (TypeError, ValueError) as error:
        raise UserError(
            f"the optimizer {name} refuses its settings {arguments}: {error}; "
            "correct --config.optimizer.settings"
        ) from error
