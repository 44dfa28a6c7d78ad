"""Whether a checkpoint that cannot be read is damaged, or only out of reach now.

A damaged one is set aside when training goes on, so damage must be proved: what was read is not
what was saved, a file is missing, cut off or garbled. Permissions, a disk that does not answer and
too many open files prove nothing.
"""

from __future__ import annotations

import errno
import os
import pathlib
import re
from collections.abc import Iterator

_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR)
"""What the system says where a file is not there, or something else is in its place."""

_ELSEWHERE = "PERMISSION_DENIED|RESOURCE_EXHAUSTED|UNAVAILABLE|UNAUTHENTICATED|DEADLINE_EXCEEDED"
_ELSEWHERE += "|ABORTED|CANCELLED|" + "|".join(
    re.escape(os.strerror(number))
    for number in errno.errorcode
    if number not in (*_MISSING, errno.EINVAL, errno.EDOM, errno.ERANGE)
)
_OUT_OF_REACH = re.compile(_ELSEWHERE, re.IGNORECASE)
_OS_ERROR = re.compile(r"OS error (\d+)")
_GARBLED = re.compile(
    "DATA_LOSS|OUT_OF_RANGE|FAILED_PRECONDITION|INVALID_ARGUMENT|NOT_FOUND|Error decoding"
)
"""How TensorStore calls files that are not as it has written them."""


class Damaged(ValueError):
    """What was read is not what was saved."""


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and all that it was caused by or raised beside."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or one in seen:
            continue
        seen.append(one)
        waiting += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
        yield one


def out_of_reach(error: BaseException) -> str | None:
    """The reason for which files could not be read now, though they may be whole; None if none is
    known."""
    for one in chain(error):
        if isinstance(one, MemoryError):
            return str(one) or "out of memory"
        if isinstance(one, OSError) and one.errno not in _MISSING:
            return first_line(one)
        text = str(one)
        numbers = {int(number) for number in _OS_ERROR.findall(text)}
        if numbers - set(_MISSING) or _OUT_OF_REACH.search(_without_paths(text)):
            return first_line(one)
    return None


def first_line(error: BaseException) -> str:
    """An error in a line."""
    return str(error).strip().split("\n")[0] or type(error).__name__


def _without_paths(text: str) -> str:
    return re.sub(r"[\"'][^\"']*/[^\"']*[\"']", "", text)


def damage(folder: pathlib.Path, error: BaseException) -> str | None:
    """What is wrong with the files of a checkpoint that could not be read; None if that is unknown.

    Args:
      folder: of the checkpoint.
      error: what reading it raised.

    Raises:
      OSError: a file cannot be opened or read.
    """
    if out_of_reach(error):
        return None
    for path in _files(folder):
        with path.open("rb") as file:
            while file.read(1 << 24):
                pass
    for one in chain(error):
        if isinstance(one, Damaged) or _GARBLED.search(str(one)):
            return first_line(one)
    return None


def _files(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    def fail(error: OSError) -> None:
        if error.errno not in _MISSING:
            raise error

    for place, _, names in os.walk(folder, onerror=fail):
        for name in names:
            yield pathlib.Path(place, name)
