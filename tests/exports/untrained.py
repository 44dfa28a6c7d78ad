"""Classifiers of random parts, in memory: what an export makes of them needs no training."""

from __future__ import annotations

import jax
import own_backbone

from vp_jax import heads, prompts
from vp_jax.classifier import Classifier
from vp_jax.step.sharding import make_mesh

CLASSES = ("one", "two", "three")


def _moved(x):
    """Parameters that begin as nothing are to do something."""
    return x + 0.1 * jax.random.normal(jax.random.key(x.size), x.shape)


def classifier(prompt="normalize | pad(2)", backbone=None, head=None, **changes):
    """With a prompt of random parameters, twelve source classes and the first three of them."""
    backbone = backbone or own_backbone.make()
    chain, head = prompts.parse(prompt), head or heads.first_k()
    shape = (backbone.image_size, backbone.image_size, 3)
    inputs = len(backbone.source_classes) if head.takes == "logits" else backbone.embed_dim
    parts = {
        "backbone": backbone.image_params(head.takes),
        "head": head.init(jax.random.key(1), inputs, len(CLASSES)),
        "prompt": jax.tree.map(_moved, chain.init(jax.random.key(2), shape)),
    }
    if "centroids" in chain.keywords.names:
        (routing,) = chain.routings
        means = jax.random.normal(jax.random.key(3), (routing.k, backbone.embed_dim))
        parts["centroids"] = {"means": means}
    found = {
        "class_names": CLASSES,
        "prompt": chain,
        "head": head,
        "backbone": backbone,
        "parts": parts,
        "mesh": make_mesh(),
        "key": jax.random.key(0),
        "batch_size": 4,
        **changes,
    }
    return Classifier(**found)
