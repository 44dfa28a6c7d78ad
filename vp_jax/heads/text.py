"""CLIP's zero-shot head: logits are scaled cosine similarities with the classes' text features.

Radford et al. 2021, arXiv 2103.00020, section 3.1.4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from vp_jax.errors import UserError
from vp_jax.heads.base import Head, Params, check_sizes

DEFAULT_TEMPLATE = "This is a photo of a {}"
TEXTS_PER_CALL = 256


def unit(x: jax.Array) -> jax.Array:
    """Scales the vectors along the last axis to Euclidean length one; zeros stay zeros."""
    squares = jnp.sum(x * x, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(squares, 1e-24))


def class_texts(class_names: Sequence[str], template: str = DEFAULT_TEMPLATE) -> list[str]:
    """The text of every class: names lower-cased, `_` and `-` become spaces.

    Raises:
      UserError: the template has not exactly one `{}`.
    """
    if template.count("{}") != 1 or template.replace("{}", "").count("{"):
        raise UserError(
            f"template {template!r} must hold exactly one {{}}, where the class name goes; "
            "correct --config.head.templates"
        )
    return [template.format(n.lower().replace("_", " ").replace("-", " ")) for n in class_names]


def text_features(
    encode: Callable[[np.ndarray], jax.Array],
    tokenize: Callable[[Sequence[str]], np.ndarray],
    class_names: Sequence[str],
    templates: Sequence[str] = (DEFAULT_TEMPLATE,),
) -> jax.Array:
    """One unit vector a class; several templates average their unit vectors.

    Args:
      encode: maps token ids `[N, context]` to features `[N, D]`.
      tokenize: maps N texts to token ids `[N, context]`, int32.
      class_names: K names.
      templates: texts with one `{}` each.

    Returns:
      `[K, D]`, float32.

    Raises:
      UserError: no class name, no template, or a template without exactly one `{}`.
    """
    if not class_names or not templates:
        raise UserError("the text head needs at least one class name and one template")
    total = jnp.zeros((), jnp.float32)
    for template in templates:
        total = total + encode_texts(encode, tokenize, class_texts(class_names, template))
    return unit(total)


def encode_texts(
    encode: Callable[[np.ndarray], jax.Array],
    tokenize: Callable[[Sequence[str]], np.ndarray],
    texts: Sequence[str],
) -> jax.Array:
    """Unit vectors of texts as they are, `[N, D]`, float32; the functions are those of
    `text_features`."""
    tokens = tokenize(texts)
    chunks = [tokens[i : i + TEXTS_PER_CALL] for i in range(0, len(tokens), TEXTS_PER_CALL)]
    return unit(jnp.concatenate([encode(chunk) for chunk in chunks]).astype(jnp.float32))


def text_head(params: dict[str, jax.Array], features: jax.Array) -> jax.Array:
    """Logits of image features over the classes.

    Args:
      params: `text_features` `[K, D]` of unit length and `logit_scale`, a positive scalar.
      features: `[B, D]`, of any length.

    Returns:
      `[B, K]`, float32.
    """
    similarity = unit(features.astype(jnp.float32)) @ params["text_features"].T
    return params["logit_scale"] * similarity


def text(text_features: ArrayLike, logit_scale: ArrayLike) -> Head:
    """CLIP's zero-shot classifier as a head: scaled cosine similarities with text features.

    Radford et al. 2021, arXiv 2103.00020, section 3.1.4; the formula is `text_head`'s.

    Args:
      text_features: one vector of length 1 a class, [K, D], as the function `text_features` makes.
      logit_scale: what cosines are multiplied by, a positive number (CLIP's is about 100).

    Returns:
      The head. It reads features [B, D]; its parameters, float32, are the two arguments.

    Raises:
      UserError: here for features that are not [K, D] or whose vectors have not length 1, and for a
        scale that is no positive number; in `init` for another number of classes, or features of
        another width, than the text features have.
    """
    features = np.asarray(jax.device_get(text_features), np.float32)
    scale = np.asarray(jax.device_get(logit_scale), np.float32)
    if features.ndim != 2 or not features.size:
        raise UserError(f"text_features must be [classes, width], got shape {features.shape}")
    lengths = np.linalg.norm(features, axis=1)
    if not (np.abs(lengths - 1) < 1e-2).all():  # the rounding of half precision passes
        bad = int(np.argmin(np.abs(lengths - 1) < 1e-2))
        raise UserError(
            f"text_features must have length 1, but row {bad} has {lengths[bad]:.4g}; make them"
            " with heads.text_features, or divide them by their lengths"
        )
    if scale.shape != () or not 0 < scale < np.inf:
        raise UserError(
            f"logit_scale must be one positive number, got {logit_scale!r}; CLIP stores its"
            " logarithm: give exp(logit_scale)"
        )

    def init_fn(rng: jax.Array | None, inputs: int, classes: int) -> Params:
        del rng
        inputs, classes = check_sizes(inputs, classes)
        if features.shape != (classes, inputs):
            raise UserError(
                f"head 'text' has text features of {features.shape[0]} classes and width"
                f" {features.shape[1]}, but the task has {classes} classes and the backbone gives"
                f" features of width {inputs}; encode this task's class names with this backbone's"
                " text tower"
            )
        return {"text_features": jnp.asarray(features), "logit_scale": jnp.asarray(scale)}

    return Head("features", init_fn, text_head, trainable=True, name="text")
