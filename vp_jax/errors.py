"""Errors meant for the person who runs the program."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LIST_ALL = 20
"""Valid names are all listed in a message when there are at most this many."""


class UserError(ValueError):
    """A mistake in what the user gave: the message says what was wrong, where, and what to do."""


def unknown(what: str, name: object, valid: Iterable[str]) -> UserError:
    """Builds the error for a name that is not among the valid ones, proposing the nearest.

    Args:
      what: what the name stands for, such as `"prompt"`.
      name: the name that was given; usually a string, shown by its `repr`.
      valid: every name that would have been accepted.

    Returns:
      The error, to be raised by the caller.

    >>> print(unknown("prompt", "padd", ["pad", "fixed_patch"]))
    unknown prompt 'padd'; did you mean 'pad'? (valid: fixed_patch, pad)
    """
    valid = sorted(valid)
    by_lower = {v.lower(): v for v in valid}
    near = [by_lower[v] for v in difflib.get_close_matches(str(name).lower(), by_lower)]
    message = f"unknown {what} {name!r}"
    if near:
        message += f"; did you mean {' or '.join(repr(v) for v in near)}?"
    if len(valid) <= _LIST_ALL:
        message += f" (valid: {', '.join(valid) or 'none'})"
    elif not near:
        message += f" ({len(valid)} names are valid, among them {', '.join(valid[:_LIST_ALL])})"
    return UserError(message)
