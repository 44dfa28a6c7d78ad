"""A prompt for every cluster of images."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from vp_jax.prompts.arguments import Copies, OneOf
from vp_jax.prompts.base import Params, Prompt
from vp_jax.prompts.routing import WAYS, Routing
from vp_jax.prompts.several import apply_chosen, init_several
from vp_jax.prompts.stage import Formula, stage


@stage
def cluster(prompt: Prompt, k: Copies, by: Annotated[str, OneOf(WAYS)] = "kmeans") -> Formula:
    """The prompt of the nearest of `k` centroids, of the features of the image without a prompt.

    This is DAM-VP (Huang et al., arXiv 2303.08138). The centroids are found once, before the first
    step, in the frozen features of 1,000 training images, drawn by the seed: by k-means, or as the
    authors do it, as means of clusters of average linkage, of which they do not give the number but
    the distance to cut at, one for every backbone and data set. They are no parameters, but a part
    of the run beside the prompt, and never change. The authors' meta-learned start is made by
    `vp_jax.starts`; their head of a few features is not here.

    Its parameters are those of `prompt` with a first axis of `k`; with one it is `prompt` itself.

    Args:
      prompt: a stage, or a chain of several, which has parameters.
      k: how many, from 1 to 1000, and at most as many as there are training images.
      by: `"kmeans"` or `"average"`, how clusters are found.

    Returns:
      The stage. Its `apply` needs `features` [..., D] of images [..., H, W, C], and `centroids`,
      [k, D].

    >>> import jax
    >>> from vp_jax import prompts
    >>> stage = prompts.cluster(prompts.full(), 2)
    >>> params = stage.init(jax.random.key(0), (4, 4, 3))
    >>> near = {"features": jax.numpy.array([[1.0, 9.0]]), "centroids": jax.numpy.eye(2)}
    >>> images = stage.apply(params, jax.numpy.zeros((1, 4, 4, 3)), **near)
    >>> bool((images[0] == params["delta"][1]).all())
    True
    """

    def apply_fn(
        params: Params,
        images: jax.Array,
        *,
        features: jax.Array,
        centroids: jax.Array,
        **given: jax.Array,
    ) -> jax.Array:
        distances = jnp.sum((features[..., None, :] - centroids) ** 2, axis=-1)
        number = jnp.argmin(distances, axis=-1)
        return apply_chosen(prompt, number, params, images, {**given, "features": features})

    return Formula(apply_fn, init_several(prompt, k), routing=Routing(k, by))
