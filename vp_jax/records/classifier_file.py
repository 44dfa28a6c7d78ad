"""What a run predicts with and its checkpoints do not have: kept once in its workdir."""

from __future__ import annotations

import json
import pathlib
from typing import NamedTuple

import numpy as np
import safetensors.numpy

from vp_jax import distributed
from vp_jax.host import files
from vp_jax.records.names import CLASSIFIER

_PREFIX = "head."
_NAMES = "class_names"
_TEMPERATURE = "temperature"


class Kept(NamedTuple):
    """The content of the file.

    Attributes:
      class_names: in the order of the labels.
      head: parameters of a head that is in no checkpoint; None where one has it, or where text
        features make it.
      temperature: by which logits are divided.
    """

    class_names: tuple[str, ...]
    head: dict[str, np.ndarray] | None
    temperature: float = 1.0


def write(workdir: pathlib.Path, kept: Kept) -> None:
    """Writes the file; of several processes the main one does.

    Raises:
      OSError: the disk is full or may not be written.
    """
    if not distributed.is_main():
        return
    arrays = {f"{_PREFIX}{name}": np.asarray(x) for name, x in (kept.head or {}).items()}
    metadata = {_NAMES: json.dumps(kept.class_names)}
    if kept.temperature != 1:
        metadata[_TEMPERATURE] = json.dumps(kept.temperature)
    content = safetensors.numpy.save(arrays, metadata=metadata)
    files.write(workdir / CLASSIFIER, lambda file: file.write(content))


def read(workdir: pathlib.Path) -> Kept | None:
    """What `write` has left; None where there is nothing, or it is damaged: what is in it can be
    had elsewhere, or whoever needs it says how to make it again."""
    try:
        with safetensors.safe_open(workdir / CLASSIFIER, "numpy") as file:
            about = file.metadata() or {}
            names, temperature = json.loads(about[_NAMES]), about.get(_TEMPERATURE, 1.0)
            head = {n.removeprefix(_PREFIX): file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
            return Kept(tuple(map(str, names)), head or None, float(temperature))
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError):
        return None
