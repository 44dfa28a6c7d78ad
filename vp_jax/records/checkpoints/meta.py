"""The checkpoints in a folder and what they say of themselves, without their arrays."""

from __future__ import annotations

import contextlib
import json
import pathlib
from typing import Any

from vp_jax.records.checkpoints.damage import Damaged

META = "meta/metadata"


def steps(folder: pathlib.Path) -> list[int]:
    """Steps of the checkpoints in a folder, ascending; those that are not complete have longer
    names.

    Raises:
      OSError: it cannot be read.
    """
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


def read_meta(checkpoint: pathlib.Path) -> dict[str, Any]:
    """The JSON object that a checkpoint carries.

    Raises:
      Damaged: there is none.
      OSError: it cannot be read.
    """
    meta = read_json(checkpoint, META)
    for name, kind in {"identity": dict, "progress": dict, "digest": str}.items():
        if not isinstance(meta, dict) or not isinstance(meta.get(name), kind):
            raise Damaged(f"{META} has no {name}")
    return meta


def read_json(checkpoint: pathlib.Path, name: str) -> Any:
    """A JSON file of a checkpoint.

    Raises:
      Damaged: there is none.
      OSError: it cannot be read.
    """
    try:
        return json.loads((checkpoint / name).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Damaged(f"{name} is missing") from error
    except ValueError as error:
        raise Damaged(f"{name} is no JSON: {error}") from error


def newest_meta(folder: pathlib.Path) -> dict[str, Any] | None:
    """What the newest checkpoint that can be read carries; None where there is none."""
    with contextlib.suppress(OSError):  # Whoever restores them says what is wrong.
        for step in reversed(steps(folder)):
            with contextlib.suppress(OSError, ValueError):
                return read_meta(folder / str(step))
    return None
