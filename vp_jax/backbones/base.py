"""What the rest of the library knows of a pretrained model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from vp_jax.backbones.weights.table import Tree
from vp_jax.errors import UserError

ImageFn = Callable[[Tree, jax.Array], jax.Array]

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB in [0, 1], as torchvision normalises ImageNet
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Backbone:
    """A frozen pretrained model: parameters, pure functions and how to prepare its input.

    A CLIP has a text tower and no classes of its own; a classifier has source classes and no text
    tower.

    Attributes:
      name: of the architecture, such as `clip_vit_b32`.
      params: float32. `params["visual"]` is what `apply` uses, `params["classifier"]` what
        `classify` uses; a CLIP has `text` and `logit_scale` besides.
      apply: `(params, images) -> features`: normalised images `[B, S, S, 3]` to float32
        `[B, embed_dim]`, not of unit length. Uses `params["visual"]` only, so the rest may be left
        out.
      embed_dim: length of the features.
      image_size: side S of the square input, in pixels.
      mean: per channel of RGB in [0, 1]; normalised is `(x - mean) / std`.
      std: likewise.
      resize_size: the shorter side is resized to it before the centre crop to `image_size`.
      resize_method: of interpolation.
      fingerprint: `NAME:sha256:` and 16 digits over the values of all parameters, whatever file
        they came from.
      classify: `(params, features) -> source logits`, float32 `[B, len(source_classes)]`. Uses
        `params["classifier"]` only. None for a CLIP, and for a classifier whose weights have no
        last layer of known classes.
      source_classes: names of the classes that the model was trained on, in the order of the
        source logits; empty where `classify` is None.
      encode_text: `(params, tokens) -> features`: ids `[B, context_length]` int32 to float32
        `[B, embed_dim]`, not of unit length. Uses `params["text"]` only. None for a classifier.
      tokenizer: `texts -> tokens`, int32 `[len(texts), context_length]`. Raises a UserError when
        its files did not come with the weights. None for a classifier.
      logit_scale: what cosine similarities are multiplied with: exp of the stored logarithm. None
        for a classifier.
      attention: `(params, images) -> weights`, what the tokens of each block take of those before
        it, float32 `[B, queries, tokens]`, the class token first and the patches row by row; None
        where the model is no ViT.
    """

    name: str
    params: Tree = dataclasses.field(repr=False)
    apply: ImageFn = dataclasses.field(repr=False)
    embed_dim: int
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize_size: int
    resize_method: str
    fingerprint: str
    classify: ImageFn | None = dataclasses.field(default=None, repr=False)
    source_classes: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    encode_text: Callable[[Tree, jax.Array], jax.Array] | None = dataclasses.field(
        default=None, repr=False
    )
    tokenizer: Callable[[Sequence[str]], np.ndarray] | None = dataclasses.field(
        default=None, repr=False
    )
    logit_scale: float | None = None
    attention: Callable[[Tree, jax.Array], list[jax.Array]] | None = dataclasses.field(
        default=None, repr=False
    )

    def source_logits(self, params: Tree, features: jax.Array) -> jax.Array:
        """What `classify` gives, float32 `[B, len(source_classes)]`.

        Raises:
          UserError: there is no `classify`.
        """
        if self.classify is None:
            raise UserError(
                f"the backbone {self.name} has no source classes, so there are no logits of them"
            )
        return self.classify(params, features)

    def image_params(self, output: str = "features") -> dict[str, Any]:
        """The parameters that images need: no text tower, nothing the output does not use.

        Args:
          output: `"features"`, of `apply`, or `"logits"`, of `classify` after it.
        """
        keys = ("visual",) if output == "features" else ("visual", "classifier")
        return {key: self.params[key] for key in keys if key in self.params}
