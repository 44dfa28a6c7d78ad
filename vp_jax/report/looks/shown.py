"""What a report shows of a model on single images: before and after, and where it looks."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax import data
from vp_jax.classifier import Classifier
from vp_jax.report.looks.attention_rollout import attention_rollout
from vp_jax.report.looks.input_gradient import make_input_gradient
from vp_jax.step.forward import Parts

_LEAST_GRID = 3
"""Patches a side from which on attention is a map."""
_UNSEEN = 1 / 512
"""Change of a pixel value, of 1, that rounding hides."""


class Pixels(NamedTuple):
    """What a prompt does to the pixels of images, black being 0 and white 1.

    Attributes:
      grey: what becomes of a grey image, float32 `[S, S, 3]`.
      covered: the share of its pixels that change.
      largest, mean: of the changes of their values.
      saturated: the share of the changed values that are driven beyond black or white.
      saturated_images: the same on the test images that are shown.
    """

    grey: np.ndarray
    covered: float
    largest: float
    mean: float
    saturated: float
    saturated_images: float


class Maps(NamedTuple):
    """Where a model looks on images, unprompted and prompted; not negative, `[n, side, side]`."""

    before: np.ndarray
    after: np.ndarray


class Shown(NamedTuple):
    """Images of the test split and what is known of them.

    Attributes:
      rows: which they are, ascending, int `[n]`.
      before, after: without and with the prompt, float32 `[n, S, S, 3]`; the same where there is
        none.
      looked_at: rows of those with maps.
      gradients: which pixels move the logit of their class; None where they were not asked for.
      attention: what the class token attends to; None where the model has none.
      pixels: what the prompt does to them; None without a prompt.
    """

    rows: np.ndarray
    before: np.ndarray
    after: np.ndarray
    looked_at: np.ndarray
    gradients: Maps | None
    attention: Maps | None
    pixels: Pixels | None

    def place(self, row: int) -> int:
        """Where an image of the test split is among these."""
        return int(np.searchsorted(self.rows, row))


def show(
    classifier: Classifier,
    start: Parts | None,
    test: data.Split,
    rows: np.ndarray,
    looked_at: np.ndarray,
) -> Shown:
    """Computes all that is shown of some images.

    Args:
      classifier: of the run.
      start: parameters of the model before training; None takes those of the run, unprompted.
      test: the test split.
      rows: which of its images, ascending.
      looked_at: those of them of which maps are made; empty for none.
    """
    before, after = classifier.examples(test.take(rows))
    gradients = attention = None
    if len(looked_at):
        places = np.searchsorted(rows, looked_at)
        labels = jnp.asarray(test.labels[looked_at])
        gradients, attention = _maps(
            classifier, start or classifier.parts, before[places], after[places], labels
        )
    pixels = _pixels(classifier, before, after) if "prompt" in classifier.parts else None
    return Shown(rows, before, after, looked_at, gradients, attention, pixels)


def _maps(
    classifier: Classifier, start: Parts, before: np.ndarray, after: np.ndarray, labels: jax.Array
) -> tuple[Maps, Maps | None]:
    backbone, mean, std = (
        classifier.backbone,
        *(np.array(x, np.float32) for x in (classifier.backbone.mean, classifier.backbone.std)),
    )
    gradient, attend = make_input_gradient(backbone, classifier.head), backbone.attention

    @functools.partial(jax.jit, compiler_options=_quick())
    def look(parts: Parts, seen: jax.Array) -> tuple[jax.Array, jax.Array | None]:
        rolled = None
        if attend is not None:
            weights = attend(parts["backbone"], (seen - mean) / std)
            side = (weights[0].shape[-1] - 1) ** 0.5
            if side >= _LEAST_GRID and side == int(side):
                rolled = attention_rollout(weights)
        return gradient(parts, seen, labels), rolled

    (g0, a0), (g1, a1) = (
        jax.device_get(look(_acting(parts), jnp.asarray(seen)))
        for parts, seen in ((start, before), (classifier.parts, after))
    )
    return Maps(g0, g1), None if a0 is None or a1 is None else Maps(a0, a1)


def _quick() -> dict[str, bool | str]:
    """How a program is compiled that runs twice: on a CPU compiling takes longer than running."""
    if jax.local_devices()[0].platform != "cpu":
        return {}
    return {"xla_backend_optimization_level": "0", "xla_llvm_disable_expensive_passes": True}


def _acting(parts: Parts) -> Parts:
    """The parameters that act on what the backbone sees."""
    return {name: parts[name] for name in ("backbone", "head", "base") if name in parts}


def _pixels(classifier: Classifier, before: np.ndarray, after: np.ndarray) -> Pixels:
    side = classifier.backbone.image_size
    image = np.full((1, side, side, 3), 128, np.uint8)
    plain, grey = classifier.examples(data.Split("test", image, np.zeros(1, np.int32)))
    change = np.abs(grey - plain)
    changed = change > _UNSEEN
    return Pixels(
        grey=grey[0],
        covered=float(changed.any(axis=-1).mean()),
        largest=float(change.max()),
        mean=float(change[changed].mean()) if changed.any() else 0.0,
        saturated=_beyond(grey, changed),
        saturated_images=_beyond(after, np.abs(after - before) > _UNSEEN),
    )


def _beyond(values: np.ndarray, changed: np.ndarray) -> float:
    """The share of changed values that are darker than black or brighter than white."""
    beyond = (values < -_UNSEEN) | (values > 1 + _UNSEEN)
    return float(beyond[changed].mean()) if changed.any() else 0.0
