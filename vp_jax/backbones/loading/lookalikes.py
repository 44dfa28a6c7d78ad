"""Which model the tensors of a file are of, when they are not of the one that was named."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping

import numpy as np

from vp_jax.backbones import classifier
from vp_jax.backbones.classifier import Classifier
from vp_jax.backbones.clip import config as clip_config
from vp_jax.backbones.clip import params as clip_params
from vp_jax.backbones.clip.sizes import SIZES
from vp_jax.backbones.loading import classifier_config, other_models
from vp_jax.backbones.loading.classifiers import CLASSIFIERS
from vp_jax.backbones.weights.state_dicts import without_prefix
from vp_jax.backbones.weights.table import Table, looks_like
from vp_jax.errors import UserError

Tensors = Mapping[str, np.ndarray]


def hint(file: pathlib.Path, name: str, tensors: Tensors) -> str:
    """Which other model here would load a file, as a sentence; empty if none would.

    Args:
      file: of the tensors.
      name: of the model that they do not fit.
      tensors: by their names in the file.

    Raises:
      UserError: they are of a model that is not among those here, which is named.
    """
    if others := [other for other in loadable(tensors, file.parent) if other != name]:
        return looks_like(others)
    what, do = other_models.recognise(tensors)
    if what:
        raise UserError(
            f"{file} does not hold the weights of {name}: by its tensors it is {what}, which is "
            f"none of the backbones here{f'; {do}' if do else ''}."
        )
    size = other_models.size(tensors)
    return f"By its tensors it is {size}." if size else ""


def loadable(tensors: Tensors, folder: pathlib.Path) -> list[str]:
    """The names of the models that would load a file's tensors, whole and finite.

    Args:
      tensors: name -> array.
      folder: of the file; a config file in it may tell models with the same tensors apart.
    """
    clips = [name for name in SIZES if _is_clip(name, tensors, folder)]
    return clips + [name for name in CLASSIFIERS if _is_classifier(name, tensors, folder)]


def _is_clip(name: str, tensors: Tensors, folder: pathlib.Path) -> bool:
    size = SIZES[name]
    tensors, _ = without_prefix(tensors, clip_params.signatures(size))
    if not clip_params.would_load(tensors, size):
        return False
    try:
        clip_config.check(folder, clip_params.layout(tensors, name), size, name)
    except UserError:
        return False
    return True


def _is_classifier(name: str, tensors: Tensors, folder: pathlib.Path) -> bool:
    model = CLASSIFIERS[name]
    if not any(_may_be(tensors, table, model) for table in model.tables):
        return False
    tensors, _ = without_prefix(tensors, classifier.layouts(model))
    try:
        classifier.from_tensors(tensors, model, file=name, name=name)
        classifier_config.check(folder, model, name)
    except UserError:
        return False
    return True


def _may_be(tensors: Tensors, table: Table, model: Classifier) -> bool:
    """Whether tensors have the names that a table spells out, and the model's width: as making the
    shapes of all models takes seconds."""
    if not any(model.embed_dim in x.shape for x in tensors.values()):
        return False
    spelt = [rule for rule in table.rules if re.escape(rule.target) == rule.target]
    last = {part for name in tensors for part in _endings(name)}
    trunk = (rule for rule in spelt if rule.target.startswith("visual/"))
    return all(source in last for rule in trunk for source in rule.sources)


def _endings(name: str) -> list[str]:
    """The name, and what is left of it without its first parts."""
    return [name, *(name[match.end() :] for match in re.finditer(r"[./]", name))]
