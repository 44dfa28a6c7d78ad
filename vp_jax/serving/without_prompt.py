"""The classifier before the prompt, for comparison."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from vp_jax import heads, prompts
from vp_jax.classifier import Classifier
from vp_jax.heads.on_top import LAYERS
from vp_jax.step.fsdp import put_frozen


def without_prompt(classifier: Classifier) -> Classifier | str:
    """The same model without the prompt and without what trained beside it; or why there is none.

    A trained backbone is the one before training, a head that stands on another one is that one,
    and probabilities are not calibrated. For text heads and fixed mappings it is the zero-shot
    model that a run is compared with.

    Returns:
      The classifier, or a sentence for people.
    """
    head, parts = classifier.head, classifier.parts
    if "prompt" not in parts:
        return "This run has trained no prompt: there is nothing before it to compare with."
    if head.name in LAYERS:
        return (
            "This run has trained a layer for its classes together with the prompt: without the "
            "two the model does not know them."
        )
    own = jax.tree.map(np.zeros_like, jax.device_get(parts["head"])) if head.own else parts["head"]
    frozen = {"backbone": classifier.backbone.image_params(head.takes)}
    if _equal(frozen["backbone"], parts["backbone"]):
        frozen = {"backbone": parts["backbone"]}  # not a second time on the devices
    else:
        frozen = put_frozen(frozen, classifier.mesh)
    kept = {"head": own, **({"base": parts["base"]} if "base" in parts else {})}
    return dataclasses.replace(
        classifier, prompt=prompts.parse(""), parts={**frozen, **kept}, temperature=1.0
    )


def _equal(one: Any, other: Any) -> bool:
    return jax.tree.all(jax.tree.map(np.array_equal, one, other))


def about_it(classifier: Classifier) -> str:
    """What `without_prompt` of a classifier is, in a sentence for people."""
    head: heads.Head = classifier.head
    if head.refit == "epoch":
        return "The same model and mapping of classes without the prompt."
    if head.own:
        return "The same model without the prompt and without what was trained after it."
    return "The same model without the prompt."
