"""Makes the `Backbone` of a classifier out of a weight file."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence

from jax.typing import DTypeLike

from vp_jax import distributed
from vp_jax.backbones import classifier
from vp_jax.backbones.base import Backbone
from vp_jax.backbones.loading import classifier_config, lookalikes
from vp_jax.backbones.loading.classifiers import CLASSIFIERS
from vp_jax.backbones.weights import files as weight_files
from vp_jax.errors import UserError


def load(
    name: str,
    weights: str | os.PathLike[str] | None,
    *,
    dtype: DTypeLike | None,
    remat: str,
    classes: Sequence[str],
) -> Backbone:
    """Loads a classifier, see `loading.load`; `classes` are its `source_classes`."""
    model = CLASSIFIERS[name]
    path = weight_files.find(weights or model.hub or _no_weights(name), tokenizer=False)
    tensors = weight_files.read(path)
    tensors = weight_files.without_prefix(tensors, classifier.layouts(model), path)
    params = classifier.from_tensors(
        tensors,
        model,
        file=str(path),
        name=name,
        hint=functools.partial(lookalikes.hint, path, name),
        classes=classes,
    )
    classifier_config.check(path.parent, model, name)
    if "classifier" not in params:
        distributed.say(
            f"{path.name} has {classifier.last_layer(tensors, model, file=str(path))}, not the "
            f"{len(classifier.source_classes(model.classes)):,} classes of {name}: it gives "
            "features only, for the head 'linear'"
        )
    return classifier.backbone(name, model, params, dtype, remat, classes)


def _no_weights(name: str) -> str:
    raise UserError(
        f"{name} has no weights by default. Name a file or folder with "
        '--config.backbone.weights=PATH, in Python weights="PATH".'
    )
