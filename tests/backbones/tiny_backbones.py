"""Tiny backbones of random parameters by name, and what they compute."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import tiny_classifiers
import tiny_clips
from tiny_clips import random_params

from vp_jax import backbones
from vp_jax.backbones import classifier

CLIPS = {"clip_vit": tiny_clips.VIT, "clip_resnet": tiny_clips.RESNET}


@functools.cache
def initial(name):
    """Initial parameters of a classifier, computed by one program."""
    init = functools.partial(classifier.init, tiny_classifiers.GOLDEN[name])
    return jax.device_get(jax.jit(init)(jax.random.key(0)))


def make(name, remat="none", dtype=None):
    if name in CLIPS:
        size = CLIPS[name]
        params = random_params(size)
        return backbones.from_params("own", params, size=size, remat=remat, dtype=dtype)
    return classifier.backbone(name, tiny_classifiers.GOLDEN[name], initial(name), dtype, remat)


def features_and_gradient(backbone):
    rng = np.random.default_rng(1)
    images = rng.normal(size=(2, backbone.image_size, backbone.image_size, 3)).astype(np.float32)
    weights = rng.normal(size=(2, backbone.embed_dim)).astype(np.float32)

    def loss(images):
        features = backbone.apply(backbone.params, images)
        return jnp.sum(features * weights), features

    gradient, features = jax.jit(jax.grad(loss, has_aux=True))(images)
    return np.asarray(features), np.asarray(gradient)
