"""Class names as keys: each stands for exactly one class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vp_jax.errors import UserError, unknown


def distinct(names: Sequence[str]) -> list[str]:
    """The names, with the class's number after each that several classes share.

    >>> distinct(["crane", "owl", "crane"])
    ['crane #0', 'owl', 'crane #2']
    """
    names = list(names)
    while len(counts := Counter(names)) < len(names):
        names = [f"{name} #{i}" if counts[name] > 1 else name for i, name in enumerate(names)]
    return names


def index_of(what: str, name: str, names: Sequence[str]) -> int:
    """The class of this name.

    Args:
      what: what the classes are, for the message, such as `"source class"`.
      name: one of `names` that only one class has, or one of `distinct(names)`.
      names: of all classes, in order.

    Raises:
      UserError: no class has the name, with the nearest ones, or several have.
    """
    keys = distinct(names)
    if name in keys:
        return keys.index(name)
    several = [key for key, other in zip(keys, names, strict=True) if other == name]
    if several:
        raise UserError(
            f"{what} {name!r} could be any of {len(several)} classes of that name; say which:"
            f" {' or '.join(map(repr, several))}"
        )
    raise unknown(what, name, keys)
