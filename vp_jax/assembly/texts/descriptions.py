"""The texts of the head `descriptions`: a JSON file of the user's, read and encoded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from vp_jax import heads
from vp_jax.backbones import Backbone
from vp_jax.errors import UserError, brief
from vp_jax.host import files

FORM = (
    '{"CLASS": ["a text", "another one"], ...}, or {"CLASS": {"KIND": ["a text"], ...}, ...} for '
    "several kinds of texts"
)

Texts = dict[str, list[list[str]]]
"""By kind the texts of every class, in the order of the classes."""


def read(path: str | None, class_names: Sequence[str]) -> Texts:
    """The texts of a JSON file.

    Args:
      path: of the file: for every class, by its name, a list of texts, or one for every kind.
      class_names: of the task; texts of other classes are not used.

    Raises:
      UserError: the file is missing or of another form, or a class has no text.
    """
    if path is None:
        raise UserError(f"the head 'descriptions' needs --config.head.descriptions=FILE of {FORM}")
    where = files.expanded(path)
    try:
        found = json.loads(where.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"the descriptions {path} cannot be read: {error.strerror}; correct "
            "--config.head.descriptions"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"the descriptions {path} are no JSON ({brief(error)})") from error
    if not isinstance(found, dict):
        raise UserError(f"the descriptions {path} must be of the form {FORM}")
    missing = [name for name in class_names if name not in found]
    if missing:
        raise UserError(
            f"the descriptions {path} have no texts of {len(missing)} of the {len(class_names)} "
            f"classes: {', '.join(map(repr, missing[:10]))}; give each class some, by its name"
        )
    by_class = [_of_class(name, found[name], path) for name in class_names]
    kinds = by_class[0].keys()
    for name, own in zip(class_names, by_class, strict=True):
        if own.keys() != kinds:
            raise UserError(
                f"the descriptions {path} have texts of the kinds {sorted(own)} for {name!r} and "
                f"{sorted(kinds)} for {class_names[0]!r}: give all classes the same kinds"
            )
    return {kind: [own[kind] for own in by_class] for kind in sorted(kinds)}


def _of_class(name: str, given: Any, path: str) -> dict[str, list[str]]:
    kinds = given if isinstance(given, dict) else {"": given}
    for texts in kinds.values():
        is_list = isinstance(texts, list) and texts
        if not is_list or not all(isinstance(text, str) and text.strip() for text in texts):
            raise UserError(
                f"the descriptions {path} have for {name!r} what is no list of texts, one or more: "
                f"the form is {FORM}"
            )
    if not kinds:
        raise UserError(f"the descriptions {path} have no text of {name!r}")
    return kinds


def digest(texts: Texts) -> str:
    """Tells texts from others."""
    return f"sha256:{hashlib.sha256(json.dumps(texts).encode()).hexdigest()}"


def encode(backbone: Backbone, texts: Texts) -> dict[str, np.ndarray]:
    """Their features: `texts` [N, D] of unit length, one after the other, and `counts`, int32
    [kinds, K], how many each class has."""
    assert backbone.encode_text is not None and backbone.tokenizer is not None  # Checked before.
    run = jax.jit(backbone.encode_text)
    flat = [text for kind in texts.values() for own in kind for text in own]
    features = heads.encode_texts(
        lambda tokens: run(backbone.params, tokens), backbone.tokenizer, flat
    )
    counts = [[len(own) for own in kind] for kind in texts.values()]
    return {"texts": np.asarray(features, np.float32), "counts": np.array(counts, np.int32)}


def make_head(features: dict[str, np.ndarray], logit_scale: Any, best: int) -> heads.Head:
    """The head of such features."""
    counts = features["counts"]
    parts = np.split(features["texts"], np.cumsum(counts.ravel())[:-1])
    classes = counts.shape[1]
    kinds = [parts[k * classes : (k + 1) * classes] for k in range(len(counts))]
    return heads.descriptions(kinds, logit_scale, best)
