"""Errors meant for the person who runs the program."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Mapping

_LIST_ALL = 20
"""Valid names are all listed in a message when there are at most this many."""

_SETTING = re.compile(r"--config\.([a-z_]+(?:\.[a-z_]+)*)")


class UserError(ValueError):
    """A mistake in what the user gave: the message says what was wrong, where, and what to do.

    A message names a setting as the command lines do that take all of them, `--config.NAME`. It is
    read as `spelled` has it.
    """

    def __str__(self) -> str:
        return spelled(super().__str__())


class _Command:
    """The running command, where it does not take all settings as `--config.NAME`.

    Attributes:
      flags: its own flags by the settings that they stand for; None where it takes all.
      elsewhere: of which thing the other settings are, as the end of a sentence.
    """

    flags: Mapping[str, str] | None = None
    elsewhere: str = ""


def spell_settings(flags: Mapping[str, str], elsewhere: str) -> None:
    """From now on, messages name settings as a command can take them.

    Args:
      flags: the command's own flags, by the dotted names of the settings that they stand for.
      elsewhere: where all other settings are, as in "a setting of the run".
    """
    _Command.flags, _Command.elsewhere = flags, elsewhere


def spelled(text: str) -> str:
    """A message with its settings named as whoever reads it can give them.

    Those are flags of the running command; and for somebody who types Python, in a notebook or at
    the prompt, attributes of `config`.
    """
    if _Command.flags is None:
        return text.replace("--config.", "config.") if hasattr(sys, "ps1") else text
    flags, others = _Command.flags, []

    def own(match: re.Match[str]) -> str:
        name = match[1]
        if name not in flags and name not in others:
            others.append(name)
        return flags.get(name, name)

    text = _SETTING.sub(own, text)
    return f"{text} ({' and '.join(others)}: {_Command.elsewhere})" if others else text


_LONGEST = 200
"""Characters of another library's message that are passed on."""


def brief(error: BaseException) -> str:
    """What an error of another library says, on one line of bounded length.

    Of a UserError its first line; of others the type too, without addresses of objects.

    >>> brief(KeyError("name")), brief(ValueError("bad <ast.Name object at 0x7f65> in\\nit"))
    ("KeyError: 'name'", 'ValueError: bad <ast.Name> in')
    """
    lines = str(error).strip().splitlines()
    if isinstance(error, UserError) and lines:
        return lines[0]
    kind = type(error).__name__
    if not lines:
        return kind
    text = re.sub(r" object at 0x[0-9a-f]+", "", " ".join(lines[0].split()))
    return f"{kind}: {text[:_LONGEST]}{'...' if len(text) > _LONGEST else ''}"


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
