"""CLIP's zero-shot head: logits are scaled cosine similarities with the classes' text features.

Radford et al. 2021, arXiv 2103.00020, section 3.1.4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax.errors import UserError

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
    total = 0.0
    for template in templates:
        tokens = tokenize(class_texts(class_names, template))
        chunks = [tokens[i : i + TEXTS_PER_CALL] for i in range(0, len(tokens), TEXTS_PER_CALL)]
        features = jnp.concatenate([encode(chunk) for chunk in chunks])
        total = total + unit(features.astype(jnp.float32))
    return unit(total)


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
