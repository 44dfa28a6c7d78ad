"""Text features of class names: computed once, kept in the run, checked when they are read."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from vp_jax import distributed, files, heads
from vp_jax.backbones import Backbone
from vp_jax.errors import UserError

Features = dict[str, np.ndarray]  # [names, D] by what they are of


def compute_text_features(
    backbone: Backbone, class_names: Sequence[str], templates: Sequence[str]
) -> np.ndarray:
    """The classes' text features, `[K, D]` float32 of unit length."""
    encode = jax.jit(backbone.encode_text)
    features = heads.text_features(
        lambda tokens: encode(backbone.params, tokens), backbone.tokenizer, class_names, templates
    )
    return np.asarray(features, np.float32)


def describe(class_names: Sequence[str], templates: Sequence[str]) -> str:
    """The texts of all classes and templates, as a text that tells them from others."""
    return repr([heads.class_texts(class_names, template) for template in templates])


def load_text_features(path: pathlib.Path, origin: Mapping[str, str]) -> Features | None:
    """Text features as `store_text_features` left them, or None where there are none.

    Raises:
      UserError: they are of another backbone or other texts, or damaged.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata()
            features = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it and run again") from error
    for key, value in origin.items():
        if (metadata or {}).get(key) != value:
            raise UserError(
                f"{path} belongs to another run: its {key} is {(metadata or {}).get(key)} there "
                f"and {value} here. Give another --workdir"
            )
    return features


def store_text_features(path: pathlib.Path, features: Features, origin: Mapping[str, str]) -> None:
    """Keeps text features in the run, so that the text tower never runs for it again.

    Of several processes the main one does.
    """
    if features and distributed.is_main() and not path.exists():
        content = save(features, metadata=dict(origin))
        files.write(path, lambda file: file.write(content))
