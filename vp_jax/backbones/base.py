"""What the rest of the library knows of a pretrained model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import jax
import numpy as np

from vp_jax.backbones.weight_table import Tree


@dataclasses.dataclass(frozen=True, eq=False)
class Backbone:
    """A frozen pretrained model: parameters, pure functions and how to prepare its input.

    Attributes:
      name: of the architecture, such as `clip_vit_b32`.
      params: `{"visual": ..., "text": ..., "logit_scale": ...}`, float32.
      apply: `(params, images) -> features`: normalised images `[B, S, S, 3]` to float32
        `[B, embed_dim]`, not of unit length. Uses `params["visual"]` only, so the rest may be left
        out.
      encode_text: `(params, tokens) -> features`: ids `[B, context_length]` int32 to float32
        `[B, embed_dim]`, not of unit length. Uses `params["text"]` only.
      tokenizer: `texts -> tokens`, int32 `[len(texts), context_length]`. Raises a UserError when
        its files did not come with the weights.
      embed_dim: length of the features.
      image_size: side S of the square input, in pixels.
      mean: per channel of RGB in [0, 1]; normalised is `(x - mean) / std`.
      std: likewise.
      resize_size: the shorter side is resized to it before the centre crop to `image_size`.
      resize_method: of interpolation.
      logit_scale: what cosine similarities are multiplied with: exp of the stored logarithm.
      fingerprint: `NAME:sha256:` and 16 digits over the values of all parameters, whatever file
        they came from.
    """

    name: str
    params: Tree = dataclasses.field(repr=False)
    apply: Callable[[Tree, jax.Array], jax.Array] = dataclasses.field(repr=False)
    encode_text: Callable[[Tree, jax.Array], jax.Array] = dataclasses.field(repr=False)
    tokenizer: Callable[[Sequence[str]], np.ndarray] = dataclasses.field(repr=False)
    embed_dim: int
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize_size: int
    resize_method: str
    logit_scale: float
    fingerprint: str
