"""Text features of class names: computed once, kept in the run, checked when they are read."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from vp_jax import distributed, heads
from vp_jax.backbones import Backbone
from vp_jax.errors import UserError
from vp_jax.host import files
from vp_jax.host.progress_bar import waiting
from vp_jax.records.names import TEXT_FEATURES
from vp_jax.training.experiment import HeadOfRun

Features = dict[str, np.ndarray]  # [names, D] by what they are of


class DamagedTexts(UserError):
    """A file of text features is not whole; they can be computed again."""


def compute_text_features(
    backbone: Backbone, class_names: Sequence[str], templates: Sequence[str]
) -> np.ndarray:
    """The classes' text features, `[K, D]` float32 of unit length.

    Raises:
      UserError: the backbone has no text tower, or its tokenizer is not there.
    """
    if backbone.encode_text is None or backbone.tokenizer is None:
        raise UserError(f"{backbone.name} has no text tower, so class names cannot be encoded")
    encode = jax.jit(backbone.encode_text)
    params, tokenizer = backbone.params, backbone.tokenizer
    with waiting(f"encoding the texts of {len(class_names):,} classes by {backbone.name}"):
        features = heads.text_features(
            lambda tokens: encode(params, tokens), tokenizer, class_names, templates
        )
        return np.asarray(features, np.float32)


def describe(class_names: Sequence[str], templates: Sequence[str]) -> str:
    """The texts of all classes and templates, as a text that tells them from others."""
    return repr([heads.class_texts(class_names, template) for template in templates])


def load_text_features(path: pathlib.Path, origin: Mapping[str, str]) -> Features | None:
    """Text features as `store_text_features` left them, or None where there are none.

    Raises:
      DamagedTexts: the file is not whole.
      UserError: they are of another backbone or other texts, or cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        features, metadata = _decode(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DamagedTexts(f"{path} is damaged ({error}); delete it and run again") from error
    for key, value in origin.items():
        if metadata.get(key) != value:
            raise UserError(
                f"{path} belongs to another run: its {key} is {metadata.get(key)} there "
                f"and {value} here. Give another --workdir"
            )
    return features


def store_text_features(path: pathlib.Path, features: Features, origin: Mapping[str, str]) -> None:
    """Keeps text features in the run, so that the text tower never runs for it again.

    Of several processes the main one does.
    """
    if not features or not distributed.is_main():
        return
    content = save(features, metadata=dict(origin))
    if not path.exists() or path.stat().st_size != len(content) or path.read_bytes() != content:
        files.write(path, lambda file: file.write(content))


def keep_text_features(workdir: pathlib.Path, head: HeadOfRun) -> None:
    """Keeps the texts that the head of a run was made from in its folder."""
    store_text_features(workdir / TEXT_FEATURES, head.text_features, head.text_origin)


def _decode(content: bytes) -> tuple[Features, dict[str, str]]:
    """The tensors and the metadata of a safetensors file.

    Raises:
      SafetensorError, ValueError: it is damaged.
    """
    features = load(content)
    length = int.from_bytes(content[:8], "little")
    return features, json.loads(content[8 : 8 + length]).get("__metadata__", {})
