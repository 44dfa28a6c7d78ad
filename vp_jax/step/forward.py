"""From uint8 images to logits: the order in which prompt, backbone and head act."""

from __future__ import annotations

from typing import Any, Protocol

import jax
import jax.numpy as jnp

from vp_jax.backbones import Backbone
from vp_jax.data.augment import Augment, Mix, mix_images
from vp_jax.data.images.preprocess import ResizeRule, preprocess
from vp_jax.errors import UserError
from vp_jax.heads import Head
from vp_jax.prompts import Chain, normalize, views
from vp_jax.prompts.by_resize import by_resize
from vp_jax.prompts.stages.shrink import centred

NO_LABEL = -1
"""The label of images whose class a prompt is not to know: all but those that it is trained on."""

Parts = dict[str, Any]
"""Parameters by part: "backbone", "head" and, unless zero-shot, "prompt" and, where that asks for
them, "centroids"; of a head that stands on another one "base" has those of that."""

OF_PROMPT = ("prompt", "centroids")
"""The parts by which a prompt acts."""


class Forward(Protocol):
    """Maps parts and uint8 images `[B, h, w, 3]`, mixed or not, to an array `[B, N]`, float32.

    The prompt among the parts acts unless `prompted`, a bool scalar, is False: one compiled program
    then serves with the prompt and without it. A prompt that asks for them gets the labels, int32
    `[B]`, `NO_LABEL` where none are given, and the features, `[B, D]`, of the images without the
    prompt, which are computed where none are given or the images are not what they are of.
    `target` is the label again, for prompts that are to do without it where something is predicted.
    """

    def __call__(
        self,
        parts: Parts,
        images: jax.Array,
        *,
        rng: jax.Array | None = None,
        mix: Mix | None = None,
        prompted: jax.Array | None = None,
        label: jax.Array | None = None,
        features: jax.Array | None = None,
    ) -> jax.Array: ...


def resize_rule(backbone: Backbone, size: int | None = None) -> ResizeRule:
    """How images of any size become those that a backbone takes, or smaller ones of a size."""
    rule = ResizeRule(backbone.image_size, backbone.resize_size, backbone.resize_method)
    return rule if size is None else rule.shrunk(size)


def seen_rule(backbone: Backbone, prompt: Chain) -> ResizeRule:
    """How images become those that a prompt is applied to: a first `shrink` makes them smaller."""
    return resize_rule(backbone, by_resize(prompt)[0])


def make_seen(
    backbone: Backbone,
    prompt: Chain,
    augment: Augment | None = None,
    resized: ResizeRule | None = None,
) -> Forward:
    """A pure function from parts and uint8 images to what the backbone takes, `[B, S, S, 3]`.

    A prompt that makes several images of one makes `[V, B, S, S, 3]` of them.

    Images are resized and cropped, augmented, mixed, prompted and normalised, in this order; a
    first `shrink` of the prompt is done by the resize. Without a part named "prompt" the images go
    unprompted and whole, which is the zero-shot path.

    Args:
      backbone: its image size, resize rule, mean and std are used.
      prompt: what acts on the images, `normalize` among its stages, as `prompts.parse` makes it;
        where it asks for features, the backbone's are used.
      augment: acts on the resized images, before the prompt.
      resized: the rule that the images have been through, as `TaskData.resized` says; None where
        they are to be resized and cropped here. Unprompted, they are those of `Split.unprompted`.

    Raises:
      UserError: the images were resized by another rule than that of backbone and prompt.
    """
    size, act = by_resize(prompt)
    side = backbone.image_size
    small, whole = seen_rule(backbone, prompt), resize_rule(backbone)
    if resized not in (None, small):
        raise UserError(
            f"the images were resized by {resized}, but {backbone.name} takes those of {small} "
            f"with the prompt {prompt}: load them with that rule"
        )
    asked = prompt.keywords.names
    fixed = {
        "normalization": (backbone.mean, backbone.std),
        "resize_method": backbone.resize_method,
    }

    def seen(
        parts: Parts,
        images: jax.Array,
        *,
        rng: jax.Array | None = None,
        mix: Mix | None = None,
        prompted: jax.Array | None = None,
        label: jax.Array | None = None,
        features: jax.Array | None = None,
    ) -> jax.Array:
        def ready(rule: ResizeRule) -> jax.Array:
            x = preprocess(images, None if resized else rule)
            if augment is not None:
                x = augment(augment_rng, x)
            return x if mix is None else mix_images(x, mix)

        def plain(x: jax.Array) -> jax.Array:
            if x.shape[1] != side:
                raise UserError(
                    f"images of {x.shape[1]} pixels, made for the prompt {prompt}, cannot be seen "
                    "without it: take those of Split.unprompted()"
                )
            return normalize().apply({}, x, **fixed)

        def plain_features() -> jax.Array:
            if features is not None and augment is None and mix is None:
                return features
            found = backbone.apply(parts["backbone"], plain(x if size is None else ready(whole)))
            return jax.lax.stop_gradient(found)

        if augment is not None:
            if rng is None:
                raise ValueError("augmentation draws from a random key, and there is none")
            augment_rng, rng = jax.random.split(rng)
        if "prompt" not in parts:
            return plain(ready(whole))
        x = ready(small)
        further: dict[str, Any] = {}
        if "label" in asked:
            further["label"] = jnp.full(images.shape[:1], NO_LABEL) if label is None else label
        if "centroids" in asked:
            further["centroids"] = parts["centroids"]["means"]
        if "target" in asked and label is not None:
            further["target"] = label
        if "features" in asked:
            further["features"] = plain_features()
        shown = x if size is None else centred(x, side, side)
        y = act(parts["prompt"], shown, rng=rng, **fixed, **further)
        if prompted is None or (resized and small != whole):  # then, unprompted, it is not among
            return y  # the parts, and the images are others
        return jnp.where(prompted, y, plain(x if size is None else ready(whole)))

    return seen


def make_outputs(
    backbone: Backbone,
    prompt: Chain,
    takes: str,
    augment: Augment | None = None,
    resized: ResizeRule | None = None,
) -> Forward:
    """Composes `make_seen` and the backbone into one pure function.

    What it makes of several views of an image lies side by side, `[B * V, N]`.

    Args:
      takes: what comes out: `"features"` or the backbone's own `"logits"`.
      backbone, prompt, augment, resized: as for `make_seen`; the backbone's parameters are not
        used.

    Raises:
      UserError: as `make_seen`.
    """
    seen = make_seen(backbone, prompt, augment, resized)

    def outputs(parts: Parts, images: jax.Array, **more: Any) -> jax.Array:
        x = seen(parts, images, **more)
        x = backbone.apply(parts["backbone"], views.flat(x))
        return x if takes == "features" else backbone.source_logits(parts["backbone"], x)

    return outputs


def make_forward(outputs: Forward, head: Head, combine: views.Combine | None = None) -> Forward:
    """The logits over the downstream classes: the head after `outputs` of the backbone.

    Args:
      outputs: as `make_outputs` makes it.
      head: what reads them.
      combine: of the prompt, where it makes several images of one.
    """

    def forward(parts: Parts, images: jax.Array, **more: Any) -> jax.Array:
        logits = head.apply(head_params(parts), outputs(parts, images, **more))
        return views.combined(logits, images.shape[0], combine)

    return forward


def head_params(parts: Parts) -> dict[str, Any]:
    """All parameters of a head, those of the one that it stands on among them."""
    return {**parts.get("base", {}), **parts["head"]}
