"""All pretrained classifiers by name."""

from __future__ import annotations

from vp_jax.backbones.classifier import Classifier

CLASSIFIERS: dict[str, Classifier] = {}
