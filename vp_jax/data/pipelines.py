"""How the images of a task reach the devices: resident, cached or stream."""

from __future__ import annotations

import pathlib
import shutil
from typing import NamedTuple

PIPELINES = ("resident", "cached", "stream")
"""In the order of preference: on the devices, decoded on local disk, decoded on the fly."""

DISK_SHARE = 0.5
"""The share of the free disk that decoded images may take by themselves."""


class Choice(NamedTuple):
    """A pipeline and why it was taken, in words."""

    pipeline: str
    why: str


def choose(
    setting: str,
    needed: int,
    resident_limit: int | None,
    cache_dir: pathlib.Path | None,
    is_cached: bool,
) -> Choice:
    """Which pipeline a task takes.

    Args:
      setting: `"auto"`, or one of `PIPELINES`, which is then taken.
      needed: bytes of all images as uint8.
      resident_limit: bytes that the devices together may hold; None for no limit.
      cache_dir: where decoded images are cached; None: nowhere.
      is_cached: whether these are already.
    """
    if setting != "auto":
        return Choice(setting, f"as --config.task.pipeline={setting} says")
    if resident_limit is None or needed <= resident_limit:
        limit = "" if resident_limit is None else f" of at most {_size(resident_limit)}"
        return Choice("resident", f"they fit in the devices' memory{limit}")
    too_much = f"more than the {_size(resident_limit)} meant for images in the devices' memory"
    if cache_dir is None:
        return Choice("stream", f"{too_much}, and there is no folder to cache them in")
    free = _free(cache_dir)
    if is_cached or needed <= DISK_SHARE * free:
        return Choice(
            "cached",
            f"{too_much}; {cache_dir} has space",
        )
    return Choice(
        "stream",
        f"{too_much}, and more than half of the {_size(free)} free in {cache_dir}",
    )


def sentence(choice: Choice, count: int, shape: tuple[int, ...], needed: int) -> str:
    """One line for the log: which pipeline, for what, and why."""
    return (
        f"data: {choice.pipeline}, {count:,} images, {_size(needed)} as uint8 "
        f"{shape[0]} x {shape[1]}: {choice.why}"
    )


def _free(folder: pathlib.Path) -> int:
    """Bytes that are free where a folder is, or will be."""
    try:
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free
    except OSError:  # It may not even be looked into.
        return 0


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:,.0f} {unit}" if unit in ("bytes", "kB") else f"{count:,.1f} {unit}"
        count /= 1000
    raise AssertionError
