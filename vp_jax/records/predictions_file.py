"""What a run and the model before it answered on each test image, kept when they were tested."""

from __future__ import annotations

import io
import pathlib
import zipfile
import zlib
from typing import Any, NamedTuple

import numpy as np

from vp_jax import distributed
from vp_jax.host import files
from vp_jax.records.names import PREDICTIONS

_BEFORE, _TUNED = "before", "tuned"


class Answers(NamedTuple):
    """What a model answered on images.

    Attributes:
      predictions: the most likely class of each, int32 `[N]`.
      confidence: its probability, float32 `[N]`.
      of_label: the probability of the right class, float32 `[N]`.
    """

    predictions: np.ndarray
    confidence: np.ndarray
    of_label: np.ndarray


class OnTest(NamedTuple):
    """The content of the file; images are in the order of the run's test split.

    Attributes:
      labels: int32 `[N]`.
      tuned: of the run at its best step, probabilities as `vp_jax.load` gives them.
      before: of the model before training; None where that was no classifier.
    """

    labels: np.ndarray
    tuned: Answers
    before: Answers | None


def write(workdir: pathlib.Path, found: OnTest) -> None:
    """Writes the file; of several processes the main one does.

    Raises:
      OSError: the disk is full or may not be written.
    """
    if not distributed.is_main():
        return
    arrays: dict[str, Any] = {"labels": found.labels.astype(np.int32)}
    for name, answers in ((_TUNED, found.tuned), (_BEFORE, found.before)):
        if answers is not None:
            types = (np.int32, np.float32, np.float32)
            arrays |= {
                f"{name}.{field}": np.asarray(x, dtype)
                for (field, x), dtype in zip(answers._asdict().items(), types, strict=True)
            }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    files.write(workdir / PREDICTIONS, lambda file: file.write(buffer.getvalue()))


def read(workdir: pathlib.Path) -> OnTest | None:
    """What `write` has left; None where there is nothing, or it is damaged: the run's checkpoint
    and data give it again."""
    try:
        with np.load(workdir / PREDICTIONS, allow_pickle=False) as file:
            arrays = dict(file)
        before = _answers(arrays, _BEFORE) if f"{_BEFORE}.predictions" in arrays else None
        found = OnTest(arrays["labels"], _answers(arrays, _TUNED), before)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    columns = (found.labels, *found.tuned, *(found.before or ()))
    is_whole = found.labels.ndim == 1 and all(x.shape == found.labels.shape for x in columns)
    return found if is_whole else None


def _answers(arrays: dict[str, np.ndarray], name: str) -> Answers:
    return Answers(*(arrays[f"{name}.{field}"] for field in Answers._fields))
