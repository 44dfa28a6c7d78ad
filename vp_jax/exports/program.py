"""A whole classifier as one pure function of uint8 images, whose batch may have any size."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType

from vp_jax.classifier import Classifier, to_probabilities
from vp_jax.data.images.host_preprocess import preprocess_one
from vp_jax.errors import UserError
from vp_jax.records.checkpoints.state_arrays import to_arrays
from vp_jax.step.forward import resize_rule
from vp_jax.step.sharding import AXES

Arrays = dict[str, np.ndarray]
BATCH = 4
"""The largest batch that a program is compared on."""


class Program(NamedTuple):
    """A classifier as a function.

    Attributes:
      apply: `apply(arrays, images)`: uint8 `[B, height, width, 3]` to probabilities, float32
        `[B, K]`.
      arrays: all parameters, by dotted name.
      shape: (height, width, 3) of the images.
      whole: whether it resizes and crops them itself.
      classifier: of which it was made, on one device.
    """

    apply: Callable[[Any, jax.Array], jax.Array]
    arrays: Arrays
    shape: tuple[int, int, int]
    whole: bool
    classifier: Classifier

    @property
    def is_exact(self) -> bool:
        """Whether it computes in float32 alone, on a CPU: equal programs then agree."""
        images = jax.ShapeDtypeStruct((1, *self.shape), np.uint8)
        text = str(jax.make_jaxpr(self.apply)(self.arrays, images))
        return jax.default_backend() == "cpu" and not ("bf16" in text or "f16" in text)

    def images(self) -> dict[str, Any]:
        """What its images must have been through, as JSON."""
        rule, shape = self.classifier.rule, self.shape[:2]
        about: dict[str, Any] = {"height": shape[0], "width": shape[1], "mode": "RGB"}
        if not self.whole:
            about |= {"short_side": rule.short_side, "crop": rule.image_size, "method": rule.method}
        return about


def make_program(classifier: Classifier, image_size: tuple[int, int] | None = None) -> Program:
    """The function that `classifier.probabilities` computes.

    Random patches lie where the classifier puts those of its first batch.

    Args:
      classifier: what is to be one.
      image_size: (height, width) of images that are resized and cropped inside, all of one size;
        None for images that have been, by `classifier.rule`.

    Raises:
      UserError: the prompt needs the whole images besides smaller ones, and there is no
        `image_size`.
    """
    classifier = _on_one_device(classifier)
    rule = classifier.rule
    smaller = rule != resize_rule(classifier.backbone)
    if image_size is None and smaller and "features" in classifier.prompt.keywords.names:
        raise UserError(
            f"the prompt {classifier.prompt} asks what the backbone makes of the whole image and "
            "acts on a smaller one, so the program needs images as they are: give their size, "
            "--image_size=HEIGHTxWIDTH"
        )
    leaves, structure = jax.tree.flatten(jax.device_get(classifier.parts))
    arrays = dict(zip(to_arrays(classifier.parts), map(np.asarray, leaves), strict=True))
    forward = to_probabilities(
        classifier.logits(rule if image_size is None else None), classifier.temperature
    )
    seed: Any = np.asarray(jax.random.key_data(jax.random.fold_in(classifier.key, 0)))
    implementation = jax.random.key_impl(classifier.key)

    def apply(given: Any, images: jax.Array) -> jax.Array:
        parts = jax.tree.unflatten(structure, [given[name] for name in arrays])
        key = jax.random.wrap_key_data(seed, impl=implementation)
        return forward(parts, images, rng=key)

    height, width = image_size or (rule.image_size, rule.image_size)
    return Program(apply, arrays, (height, width, 3), image_size is not None, classifier)


def check_against(program: Program, run: Callable[[np.ndarray], Any], most: float) -> float:
    """How far what was made of a program is from its classifier, at most, on noise.

    Args:
      program: of which it was made.
      run: of images, as `Program.apply` takes them.
      most: how far it may be.

    Raises:
      UserError: it is further.
    """
    rng, apart = np.random.default_rng(0), []
    height, width = program.shape[:2] if program.whole else (61, 83)
    for count in (1, BATCH):
        images = rng.integers(0, 256, (count, height, width, 3), np.uint8)
        rule = program.classifier.rule
        seen = images if program.whole else np.stack([preprocess_one(x, rule) for x in images])
        expected, found = program.classifier.probabilities(images), np.asarray(run(seen))
        apart.append(np.abs(found - expected).max())
    largest = float(np.max(apart))
    if not largest <= most:  # nor where it is no number
        raise UserError(
            f"what was exported gives probabilities {largest:.1e} apart from the run's, and {most} "
            "is allowed: nothing was written"
        )
    return largest


def _on_one_device(classifier: Classifier) -> Classifier:
    device = jax.local_devices()[0]
    mesh = jax.make_mesh((1, 1), AXES, axis_types=(AxisType.Auto,) * 2, devices=[device])
    parts = jax.device_put(jax.device_get(classifier.parts), device)
    return dataclasses.replace(classifier, mesh=mesh, parts=parts, batch_size=BATCH)
