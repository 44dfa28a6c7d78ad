"""Which pixels move the answer of a model."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax.backbones import Backbone
from vp_jax.heads import Head
from vp_jax.step.forward import Parts, head_params


def make_input_gradient(backbone: Backbone, head: Head) -> Callable[..., jax.Array]:
    r"""A pure function `(parts, seen, labels) -> maps` of what a backbone sees.

    The map of an image is \(\max_c |\partial z_y / \partial x_c|\) of each pixel: how much the
    logit z of its label y changes with the pixel x, in the channel c where that is most. It is the
    saliency of Simonyan, Vedaldi and Zisserman (arXiv 1312.6034).

    The arguments of the function are parameters by part, images float32 `[B, S, S, 3]` with black
    at 0 and white at 1, prompted or not, and int `[B]`; it returns float32 `[B, S, S]`.
    """
    mean, std = (np.array(x, np.float32) for x in (backbone.mean, backbone.std))

    def of_labels(seen: jax.Array, parts: Parts, labels: jax.Array) -> jax.Array:
        outputs = backbone.apply(parts["backbone"], (seen - mean) / std)
        if head.takes != "features":
            outputs = backbone.source_logits(parts["backbone"], outputs)
        logits = head.apply(head_params(parts), outputs)
        return jnp.take_along_axis(logits, labels[:, None], axis=1).sum()

    def maps(parts: Parts, seen: jax.Array, labels: jax.Array) -> jax.Array:
        return jnp.abs(jax.grad(of_labels)(seen, parts, labels)).max(axis=-1)

    return maps
