"""A backbone of your own: any pure function of parameters and images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax.backbones.base import Backbone
from vp_jax.backbones.weights.fingerprint import fingerprint
from vp_jax.errors import UserError


def from_fn(
    apply: Callable[[Any, jax.Array], jax.Array],
    params: Any,
    *,
    image_size: int,
    mean: Sequence[float],
    std: Sequence[float],
    name: str = "custom",
    classify: Callable[[Any, jax.Array], jax.Array] | None = None,
    source_classes: Sequence[str] = (),
    resize_size: int | None = None,
    resize_method: str = "bicubic",
) -> Backbone:
    """Makes a backbone of a pure function, for training, checkpoints, mappings and reports alike.

    Args:
      apply: `(params, images) -> outputs`: normalised images `[B, S, S, 3]` to `[B, N]`.
      params: a pytree of arrays; `apply` gets it as it is.
      image_size: side S of the square input, in pixels.
      mean: per channel of RGB in [0, 1]; normalised is `(x - mean) / std`.
      std: likewise.
      name: what runs and fingerprints call it.
      classify: `(params, outputs) -> source logits`, where the outputs are features and the model
        has a classifier. Without it the outputs are both: the features of a linear head and the
        logits of an output mapping.
      source_classes: names of the source logits, in order; by default their numbers.
      resize_size: the shorter side is resized to it before the centre crop; `image_size` by
        default.
      resize_method: `"bicubic"` or `"bilinear"`.

    Returns:
      The backbone. Its `params["visual"]` is `params`.

    Raises:
      UserError: `apply` fails on a batch of images or gives no `[B, N]`; mean, std or the number
        of names do not fit.
    """
    mean, std = _rgb("mean", mean), _rgb("std", std)
    if min(std) <= 0:
        raise UserError(f"std is {std!r}; all three must be positive")
    try:
        parts = {"visual": jax.tree.map(jnp.asarray, params)}
    except (TypeError, ValueError) as error:
        raise UserError(f"params must be a pytree of arrays: {error}") from error
    image = jax.ShapeDtypeStruct((2, image_size, image_size, 3), jnp.float32)
    features = _shape("apply", apply, params, image)

    def to_features(tree: Any, images: jax.Array) -> jax.Array:
        return apply(tree["visual"], images).astype(jnp.float32)

    def to_logits(tree: Any, outputs: jax.Array) -> jax.Array:
        if classify is None:
            return outputs
        return classify(tree["visual"], outputs).astype(jnp.float32)

    logits = features if classify is None else _shape("classify", classify, params, features)
    names = tuple(source_classes) or tuple(map(str, range(logits.shape[1])))
    if len(names) != logits.shape[1]:
        raise UserError(
            f"{len(names)} source class names were given for the {logits.shape[1]} outputs of "
            f"{name}"
        )
    return Backbone(
        name=name,
        params=parts,
        apply=to_features,
        classify=to_logits,
        source_classes=names,
        embed_dim=features.shape[1],
        image_size=image_size,
        mean=mean,
        std=std,
        resize_size=resize_size or image_size,
        resize_method=resize_method,
        fingerprint=fingerprint(name, params),
    )


def _rgb(what: str, values: Sequence[float]) -> tuple[float, float, float]:
    try:
        numbers = np.asarray(values, float)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (3,) or not np.isfinite(numbers).all():
        raise UserError(f"{what} is {values!r}; it must be three numbers, one a channel of RGB")
    return tuple(numbers.tolist())


def _shape(
    what: str, function: Callable[[Any, jax.Array], Any], params: Any, x: jax.ShapeDtypeStruct
) -> jax.ShapeDtypeStruct:
    try:
        out = jax.eval_shape(function, params, x)
    except Exception as error:
        raise UserError(
            f"{what}(params, x) fails for x of shape {x.shape}: {type(error).__name__}: {error}"
        ) from error
    fits = isinstance(out, jax.ShapeDtypeStruct) and len(out.shape) == 2
    if not fits or out.shape[0] != x.shape[0] or not jnp.issubdtype(out.dtype, jnp.floating):
        raise UserError(
            f"{what}(params, x) must return one float array of shape ({x.shape[0]}, N) for x of "
            f"shape {x.shape}; it returns {jax.tree.map(lambda o: (o.shape, str(o.dtype)), out)}"
        )
    return out
