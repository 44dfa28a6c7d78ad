"""Finds the weights in what training programs save: inside other things, under longer names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from vp_jax.backbones.weights.table import Shape


class _Shaped(Protocol):
    @property
    def shape(self) -> Sequence[int]: ...


Tensor = TypeVar("Tensor", bound=_Shaped)

WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "weights",
    "params",
)
"""Entries that programs keep their model's weights in; the first that there is counts."""

COUNTERS = ("n_averaged",)  # that torch's AveragedModel adds
_DEPTH = 8


def find(
    loaded: Any, is_tensor: Callable[[Any], bool]
) -> tuple[dict[str, Any], list[str], list[str]]:
    """The tensors of the model in a checkpoint.

    Args:
      loaded: what the file held: a dict of tensors, or of other things with such a dict among them.
      is_tensor: tells tensors from other things.

    Returns:
      The tensors by name; the entries that they were found in, the outermost first; and the
      entries beside these and beside the tensors that are left out.

    Raises:
      ValueError: there are no tensors, or several models; says what there is.
    """
    path: list[str] = []
    left_out: list[str] = []
    for _ in range(_DEPTH):
        if not isinstance(loaded, Mapping):
            raise ValueError(f"it holds a {type(loaded).__name__} and no dict of tensors")
        inner = {key: x for key, x in loaded.items() if _is_model(x, is_tensor)}
        chosen = next((name for name in WRAPPERS if name in inner), None)
        tensors = {str(key): x for key, x in loaded.items() if is_tensor(x)}
        if chosen is None and tensors:
            return tensors, path, left_out + [str(k) for k in loaded if str(k) not in tensors]
        if chosen is None and len(inner) != 1:
            what = "several models" if inner else "no dict of tensors"
            names = inner or loaded
            there = ", ".join(map(str, list(names)[:5])) or "nothing"
            raise ValueError(f"it holds {what}: its entries are {there}")
        chosen = next(iter(inner)) if chosen is None else chosen
        path.append(str(chosen))
        left_out += [str(key) for key in loaded if key != chosen]
        loaded = loaded[chosen]
    raise ValueError(f"its dicts are more than {_DEPTH} deep")


def _is_model(x: Any, is_tensor: Callable[[Any], bool], depth: int = _DEPTH) -> bool:
    """Whether it is a dict with tensors somewhere in it, and not an optimiser's."""
    if not isinstance(x, Mapping) or "param_groups" in x or not depth:
        return False
    return any(is_tensor(value) or _is_model(value, is_tensor, depth - 1) for value in x.values())


def without_prefix(
    tensors: Mapping[str, Tensor], layouts: Sequence[Mapping[str, Shape]]
) -> tuple[Mapping[str, Tensor], str]:
    """The tensors by the names that a model's layouts have, without what comes before all of them.

    Args:
      tensors: name -> array, in the names of a file, such as `module.conv1.weight`.
      layouts: of the model: the shapes of its tensors by name, one mapping for each layout.

    Returns:
      The tensors, and the prefix that was taken off their names: that with which most of them fit a
      layout, in name and shape. Empty where no prefix is common to all, or none helps.
    """
    names = [name for name in tensors if name not in COUNTERS]
    common = os.path.commonprefix(names)
    prefixes = ["", *(common[: match.end()] for match in re.finditer(r"[./]", common))]

    def fitting(prefix: str) -> int:
        cut = len(prefix)
        shapes = {name[cut:]: tuple(tensors[name].shape) for name in names}
        return max((len(shapes.items() & layout.items()) for layout in layouts), default=0)

    best = max(prefixes, key=fitting)
    if not best:
        return tensors, ""
    return {name.removeprefix(best): tensors[name] for name in names}, best
