"""Centroids of the features of training images, for prompts that tell images apart by them."""

from __future__ import annotations

import numpy as np

from vp_jax import distributed
from vp_jax.errors import UserError
from vp_jax.prompts import Chain
from vp_jax.prompts.routing import Routing
from vp_jax.step.forward import Parts
from vp_jax.step.fsdp import put_frozen
from vp_jax.training.experiment import Experiment
from vp_jax.training.fitting.frozen_features import make_compute

SAMPLE = 1000
"""Training images whose features are looked at, drawn by the seed; or all, where there are fewer,
and more where there are more clusters."""


def none_yet(prompt: Chain, length: int) -> Parts:
    """The part `centroids` of a prompt before they are found, of features of a length; empty for a
    prompt that needs none."""
    counts = [routing.k for routing in prompt.routings]
    return {"centroids": {"means": np.zeros((counts[0], length), np.float32)}} if counts else {}


def find(experiment: Experiment) -> Parts:
    """The part `centroids` of a run, found in its training images as they are without augmentation.

    Raises:
      UserError: there are fewer training images than centroids.
    """
    (routing,) = experiment.prompt.routings
    train = experiment.task.train
    if len(train) < routing.k:
        raise UserError(
            f"the prompt {experiment.prompt} has {routing.k} clusters, and there are "
            f"{len(train)} training images: give fewer"
        )
    count = min(max(SAMPLE, routing.k), len(train))
    rows = np.random.default_rng(experiment.seed).permutation(len(train))[:count]
    sample = train.take(np.sort(rows))
    features = sample.features
    if features is None:  # Images that are augmented have none.
        parts = put_frozen({"backbone": experiment.frozen["backbone"]}, experiment.mesh)
        compute = make_compute(
            experiment.task,
            experiment.backbone,
            experiment.prompt,
            parts,
            experiment.mesh,
            experiment.loop.batch_size,
        )
        features = compute(sample)
    means = centroids(features, routing, experiment.seed)
    return {"centroids": distributed.of_main({"means": means})}


def centroids(features: np.ndarray, routing: Routing, seed: int) -> np.ndarray:
    """The means of clusters of features `[N, D]`, float32 `[k, D]`, in an order that follows
    from the first image of each."""
    from sklearn.cluster import AgglomerativeClustering, KMeans

    if routing.by == "kmeans":
        model = KMeans(routing.k, n_init=10, random_state=seed)
    else:
        model = AgglomerativeClustering(routing.k, linkage="average")
    members = model.fit_predict(features.astype(np.float64)) if routing.k > 1 else None
    if members is None:
        return features.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    _, first = np.unique(members, return_index=True)
    found = [features[members == members[i]].mean(axis=0, dtype=np.float64) for i in np.sort(first)]
    return np.stack(found).astype(np.float32)
