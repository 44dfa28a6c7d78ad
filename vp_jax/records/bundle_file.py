"""A trained prompt and head as one file: all that is needed beside the frozen model.

A bundle is a safetensors file. Its arrays are the parameters by part, `head.text_features` or
`prompt.1.top` of stage 1 of the prompt's text, from 0; its metadata are texts, those of several
values in JSON:

  - `format`: `"vp_jax bundle 1"`
  - `prompt`: its text; `normalize` where no prompt trained
  - `class_names`: a list, in the order of the labels
  - `head`: `name`, `base`, and what it `reads`: `"features"` or `"logits"`
  - `backbone`: `name`, `source`, `dtype` and `fingerprint`; `weights`, `owner/name` on the Hugging
    Face Hub, None for those that `name` stands for; `file`, the name alone of a file or folder of
    weights, None where there was none; and `where`, the same as a sentence
  - `images`: `image_size`, `resize_size`, `resize_method`, `mean`, `std` and `upright`; and
    `seen_size` and `seen_resize_size`, those of what the prompt acts on, smaller behind a `shrink`
  - `temperature`: by which logits are divided
  - `training`: `tune`, `seed`, `batch_size` and `task`
  - `metrics`: what `result.json` says of test
  - `license`: a text of whoever made it; may be empty
"""

from __future__ import annotations

import json
import pathlib
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from vp_jax.errors import UserError
from vp_jax.host import files

NAME = "bundle.safetensors"
"""Of the file, in a folder that holds a bundle."""
FORMAT = "vp_jax bundle 1"
_TEXTS = ("prompt", "license")
_VALUES = ("class_names", "head", "backbone", "images", "temperature", "training", "metrics")


class Bundle(NamedTuple):
    """The content of a bundle, as the module's docstring has it."""

    arrays: dict[str, np.ndarray]
    prompt: str
    class_names: tuple[str, ...]
    head: dict[str, Any]
    backbone: dict[str, Any]
    images: dict[str, Any]
    temperature: float
    training: dict[str, Any]
    metrics: dict[str, Any]
    license: str = ""


def write(path: pathlib.Path, bundle: Bundle) -> None:
    """Writes a bundle; a file that was there stays whole until the new one is.

    Raises:
      OSError: the disk is full or may not be written.
    """
    metadata = {"format": FORMAT}
    metadata |= {name: getattr(bundle, name) for name in _TEXTS}
    metadata |= {name: json.dumps(getattr(bundle, name)) for name in _VALUES}
    arrays = {name: np.ascontiguousarray(array) for name, array in bundle.arrays.items()}
    content = safetensors.numpy.save(arrays, metadata=metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, lambda file: file.write(content))


def read(path: pathlib.Path) -> Bundle:
    """Reads a bundle.

    Raises:
      UserError: there is none, it is damaged, or of a later version.
    """
    try:
        with safetensors.safe_open(path, "numpy") as file:
            about = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        found = about.get("format", "")
        if found != FORMAT:
            what = f"it says {found!r}, not {FORMAT!r}" if found else "it is no bundle of vp_jax"
            raise UserError(f"{path} cannot be used: {what}; export it again")
        values = {name: json.loads(about[name]) for name in _VALUES}
        values["class_names"] = tuple(map(str, values["class_names"]))
        values["temperature"] = float(values["temperature"])
        return Bundle(arrays, **{name: about[name] for name in _TEXTS}, **values)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} is damaged, or no bundle ({error}): export it again") from error
