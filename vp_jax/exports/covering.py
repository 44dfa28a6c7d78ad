"""Whether a prompt only covers pixels, and with what: found by trying it on images."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax import prompts
from vp_jax.classifier import Classifier
from vp_jax.errors import UserError
from vp_jax.step.forward import make_seen

NEAR = 1e-3
"""How far values may be from those of an overlay, in units of 0 to 1: a quarter of a grey level."""
TRIED = 4
"""Images of noise that a prompt is tried on."""


class Cover(NamedTuple):
    """An overlay in 8 bits: the result is `alpha * colour + (1 - alpha) * pixel`.

    Attributes:
      colour: float32 `[S, S, 3]`, multiples of 1/255 in [0, 1]; 0 where alpha is 0.
      alpha: float32 `[S, S, 1]`, likewise.
      clipped: the share of the colours that was outside [0, 1].
    """

    colour: np.ndarray
    alpha: np.ndarray
    clipped: float


def cover_of(classifier: Classifier) -> Cover:
    """The overlay that a trained prompt is.

    Raises:
      UserError: it is none: nothing was trained, or it does more to an image than to cover parts
        of it with colours that are always the same.
    """
    _check_kind(classifier)
    rule, side = classifier.rule, classifier.backbone.image_size
    size = rule.image_size
    noise = np.random.default_rng(0).integers(0, 256, (TRIED, size, size, 3), np.uint8)
    ends = np.stack([np.full((size, size, 3), value, np.uint8) for value in (0, 255)])
    shown = _shown(classifier, np.concatenate([ends, noise]))
    black, white, tried = shown[0], shown[1], shown[2:]
    is_image = np.zeros((side, side, 1), bool)
    first = (side - size) // 2
    is_image[first : first + size, first : first + size] = True
    through = np.where(is_image, white - black, 0.0)  # of a pixel of the image, its share
    under = np.zeros((TRIED, side, side, 3))
    under[:, first : first + size, first : first + size] = noise / 255.0
    _check_shares(classifier, through, black, is_image)
    if not np.allclose(tried, black + through * under, atol=NEAR):
        raise _not(classifier, "what it makes of a pixel depends on other pixels, or bends")
    alpha = np.where(is_image, 1.0 - through.mean(-1, keepdims=True), 1.0)
    alpha[~is_image & (np.abs(black).max(-1, keepdims=True) < NEAR)] = 0.0  # black as the canvas
    alpha = np.rint(255 * np.clip(alpha, 0, 1)) / 255
    colour = np.where(alpha > 0, black / np.maximum(alpha, 1 / 255), 0.0)
    outside = (np.abs(colour - np.clip(colour, 0, 1)) > NEAR)[alpha[..., 0] > 0]
    colour = np.rint(255 * np.clip(colour, 0, 1)) / 255
    clipped = float(outside.mean()) if outside.size else 0.0
    return Cover(colour.astype(np.float32), alpha.astype(np.float32), clipped)


def covered(classifier: Classifier, cover: Cover) -> Classifier:
    """The classifier with an overlay in place of its prompt, on images that are then 8 bits too."""
    colour, alpha = jnp.asarray(cover.colour), jnp.asarray(cover.alpha)

    def lay(params: Any, images: jax.Array) -> jax.Array:
        return (alpha * colour + (1 - alpha) * images).astype(images.dtype)

    first = [s for s in classifier.prompt.stages[:1] if getattr(s, "name", "") == "shrink"]
    prompt = prompts.chain(
        *first, prompts.Prompt(lambda rng, shape: {}, lay), prompts.quantize(), prompts.normalize()
    )
    params: Any = tuple({} for _ in prompt.members)
    return dataclasses.replace(
        classifier, prompt=prompt, parts={**classifier.parts, "prompt": params}
    )


def _check_kind(classifier: Classifier) -> None:
    """Refuses prompts that are not the same for every image."""
    if "prompt" not in classifier.parts:
        raise UserError("no prompt was trained, so there is no overlay of one")
    if classifier.prompt.combine is not None:
        raise _not(classifier, "it makes several images of each")
    asked = classifier.prompt.keywords.names & {"rng", "features", "centroids", "label", "target"}
    if asked:
        kinds = {"rng": "chance"} | dict.fromkeys(("label", "target"), "the class")
        by = sorted({kinds.get(name, "the image") for name in asked})
        raise _not(classifier, f"what it puts where depends on {' and '.join(by)}")


def _shown(classifier: Classifier, images: np.ndarray) -> np.ndarray:
    """What the backbone sees of prepared images, in RGB from 0 to 1, `[N, S, S, 3]`."""
    see = make_seen(classifier.backbone, classifier.prompt, resized=classifier.rule)
    own = jax.device_get({"prompt": classifier.parts["prompt"]})
    seen = np.asarray(jax.jit(see)(own, images), np.float64)
    return seen * np.asarray(classifier.backbone.std) + np.asarray(classifier.backbone.mean)


def _check_shares(
    classifier: Classifier, through: np.ndarray, black: np.ndarray, is_image: np.ndarray
) -> None:
    """Refuses shares of the image that no opacity has."""
    uneven = through.max(-1) - through.min(-1) > NEAR
    if uneven.any() or (through < -NEAR).any() or (through > 1 + NEAR).any():
        raise _not(classifier, "it changes contrast or colours of what it leaves visible")
    free = is_image[..., 0] & (through.min(-1) > 1 - NEAR)
    added = free & (np.abs(black).max(-1) > NEAR)
    if added.any():
        raise _not(
            classifier,
            f"it adds to {added.sum():,} pixels under which the image stays as it is, and an "
            "overlay can only cover them",
        )


def _not(classifier: Classifier, why: str) -> UserError:
    return UserError(
        f"the prompt {classifier.prompt} is no overlay: {why}. Prompts that cover are, such as "
        "shrink(128) | frame(48) | normalize; all others can be exported in the other formats"
    )
