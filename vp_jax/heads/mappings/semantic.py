"""A mapping by meaning: the source class whose name is most similar stands for the class."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from vp_jax.errors import UserError
from vp_jax.heads.base import Head, Params, check_sizes
from vp_jax.heads.mappings import matching
from vp_jax.heads.mappings.indices import select


def semantic(
    source_features: ArrayLike, target_features: ArrayLike, many_to_one: bool = False
) -> Head:
    """The logits of the source classes whose names are most similar to the classes' names.

    The similarity of two names is the cosine of their text features. One to one, the most similar
    pair is taken first, as in `frequency`. The semantic mapping of Tsao et al., "AutoVP: An
    Automated Visual Prompting Framework and Benchmark" (ICLR 2024, arXiv 2310.08381), whose code
    lets the classes choose in their order, each the most similar source class that is free.

    Args:
      source_features: text features of the source classes' names, [Ks, D], of any length above 0.
      target_features: of the downstream classes' names, [K, D], from the same text tower.
      many_to_one: whether every class takes the source class most similar to it, which others may
        take too.

    Returns:
      The head. It reads logits; its parameters are `indices`, [K], int32.

    Raises:
      UserError: here for features that are not [Ks, D] and [K, D], are zero or not finite, and for
        more downstream than source classes, unless `many_to_one`; in `init` for other numbers of
        source or downstream classes than the features have.
    """
    matching.check_many_to_one(many_to_one)
    source = _unit_rows("source_features", source_features)
    target = _unit_rows("target_features", target_features)
    if source.shape[1] != target.shape[1]:
        raise UserError(
            f"source_features have {source.shape[1]} numbers a class and target_features"
            f" {target.shape[1]}: make both with the same text tower"
        )
    similarity = source @ target.T
    match = matching.many_to_one if many_to_one else matching.one_to_one
    indices = match(similarity)

    def init_fn(rng: jax.Array | None, inputs: int, classes: int) -> Params:
        del rng
        if check_sizes(inputs, classes) != similarity.shape:
            raise UserError(
                f"head 'semantic' was given text features of {similarity.shape[0]} source classes"
                f" and {similarity.shape[1]} classes, but the backbone has {inputs} source classes"
                f" and the task {classes} classes; encode the names of these"
            )
        return {"indices": jnp.asarray(indices)}

    return Head("logits", init_fn, select, trainable=False, name="semantic")


def _unit_rows(name: str, features: ArrayLike) -> np.ndarray:
    """Text features [N, D] as float32 vectors of length 1."""
    features = np.asarray(jax.device_get(features), np.float32)
    if features.ndim != 2 or not features.size:
        raise UserError(f"{name} must be [classes, width], got shape {features.shape}")
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        bad = int(np.argmin(np.isfinite(lengths) & (lengths > 0)))
        raise UserError(f"row {bad} of {name} is zero or not finite: it has no direction")
    return features / lengths
