"""From uint8 images to logits: the order in which prompt, backbone and head act."""

from __future__ import annotations

from typing import Any, Protocol

import jax
import jax.numpy as jnp

from vp_jax.backbones import Backbone
from vp_jax.data.augment import Augment, Mix, mix_images
from vp_jax.data.images.preprocess import ResizeRule, normalize, preprocess
from vp_jax.errors import UserError
from vp_jax.heads import Head
from vp_jax.prompts import Prompt

Parts = dict[str, Any]  # parameters by part: "backbone", "head" and, unless zero-shot, "prompt"


class Forward(Protocol):
    """Maps parts and uint8 images `[B, h, w, 3]`, mixed or not, to an array `[B, N]`, float32.

    The prompt among the parts acts unless `prompted`, a bool scalar, is False: one compiled program
    then serves with the prompt and without it.
    """

    def __call__(
        self,
        parts: Parts,
        images: jax.Array,
        *,
        rng: jax.Array | None = None,
        mix: Mix | None = None,
        prompted: jax.Array | None = None,
    ) -> jax.Array: ...


def resize_rule(backbone: Backbone) -> ResizeRule:
    """How images of any size become those that a backbone takes."""
    return ResizeRule(backbone.image_size, backbone.resize_size, backbone.resize_method)


def remaining_rule(backbone: Backbone, resized: ResizeRule | None) -> ResizeRule | None:
    """What images have to go through yet before a backbone takes them: its rule, or nothing.

    Args:
      backbone: what takes them.
      resized: what they have been through, as `TaskData.resized` says.

    Raises:
      UserError: they were resized by another rule than the backbone's.
    """
    rule = resize_rule(backbone)
    if resized is None:
        return rule
    if resized != rule:
        raise UserError(
            f"the images were resized by {resized}, but {backbone.name} takes those of {rule}: "
            "load them with that rule"
        )
    return None


def make_outputs(
    backbone: Backbone,
    prompt: Prompt,
    space: str,
    takes: str,
    augment: Augment | None = None,
    resized: ResizeRule | None = None,
) -> Forward:
    """Composes resize, crop, prompt, normalisation and backbone into one pure function.

    Without a part named "prompt" the images go unprompted, which is the zero-shot path. A `mix`
    mixes them before the prompt, after augmentation.

    Args:
      backbone: its functions, image size, resize rule, mean and std are used, not its parameters.
      prompt: what acts on the images.
      space: `"pixel"`, before normalisation, or `"normalized"`, after it, as in the paper.
      takes: what comes out: `"features"` or the backbone's own `"logits"`.
      augment: acts on the resized images, before the prompt.
      resized: the rule that the images have been through, as `TaskData.resized` says; None where
        they are to be resized and cropped here.

    Raises:
      UserError: the images were resized by another rule than the backbone's.
    """
    rule = remaining_rule(backbone, resized)

    def act(
        parts: Parts, x: jax.Array, rng: jax.Array | None, prompted: jax.Array | None
    ) -> jax.Array:
        if "prompt" not in parts:
            return x
        y = prompt.apply(parts["prompt"], x, rng=rng)
        return y if prompted is None else jnp.where(prompted, y, x)

    def outputs(
        parts: Parts,
        images: jax.Array,
        *,
        rng: jax.Array | None = None,
        mix: Mix | None = None,
        prompted: jax.Array | None = None,
    ) -> jax.Array:
        x = preprocess(images, rule)
        if augment is not None:
            augment_rng, rng = jax.random.split(rng)
            x = augment(augment_rng, x)
        if mix is not None:
            x = mix_images(x, mix)
        if space == "pixel":
            x = act(parts, x, rng, prompted)
        x = normalize(x, backbone.mean, backbone.std)
        if space == "normalized":
            x = act(parts, x, rng, prompted)
        x = backbone.apply(parts["backbone"], x)
        return x if takes == "features" else backbone.classify(parts["backbone"], x)

    return outputs


def make_forward(outputs: Forward, head: Head) -> Forward:
    """The logits over the downstream classes: the head after `outputs` of the backbone."""

    def forward(
        parts: Parts,
        images: jax.Array,
        *,
        rng: jax.Array | None = None,
        mix: Mix | None = None,
        prompted: jax.Array | None = None,
    ) -> jax.Array:
        given = outputs(parts, images, rng=rng, mix=mix, prompted=prompted)
        return head.apply(parts["head"], given)

    return forward
