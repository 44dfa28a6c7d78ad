"""From uint8 images to logits: the order in which prompt, backbone and head act."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import jax

from vp_jax.backbones import Backbone
from vp_jax.data.preprocess import ResizeRule, normalize, preprocess
from vp_jax.prompts import Prompt

Parts = dict[str, Any]  # parameters by part: "backbone", "head" and, unless zero-shot, "prompt"


class Forward(Protocol):
    """Maps parts and uint8 images `[B, h, w, 3]` to logits `[B, K]`, float32."""

    def __call__(
        self, parts: Parts, images: jax.Array, *, rng: jax.Array | None = None
    ) -> jax.Array: ...


def make_forward(
    backbone: Backbone,
    prompt: Prompt,
    space: str,
    head: Callable[[Any, jax.Array], jax.Array],
) -> Forward:
    """Composes resize, crop, prompt, normalisation, backbone and head into one pure function.

    Without a part named "prompt" the images go unprompted, which is the zero-shot path.

    Args:
      backbone: its apply, image size, resize rule, mean and std are used, not its parameters.
      prompt: what acts on the images.
      space: `"pixel"`, before normalisation, or `"normalized"`, after it, as in the paper.
      head: maps head parameters and the backbone's output to logits.
    """
    rule = ResizeRule(backbone.image_size, backbone.resize_size, backbone.resize_method)

    def forward(parts: Parts, images: jax.Array, *, rng: jax.Array | None = None) -> jax.Array:
        x = preprocess(images, rule)
        if "prompt" in parts and space == "pixel":
            x = prompt.apply(parts["prompt"], x, rng=rng)
        x = normalize(x, backbone.mean, backbone.std)
        if "prompt" in parts and space == "normalized":
            x = prompt.apply(parts["prompt"], x, rng=rng)
        return head(parts["head"], backbone.apply(parts["backbone"], x))

    return forward
