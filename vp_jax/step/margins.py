"""What the prompts of classes owe each other: the margins of C-AVP."""

from __future__ import annotations

import jax
import jax.numpy as jnp

TAU = 0.1
"""By how much one probability is to be above another; more is not asked for."""


def margins(logits: jax.Array, label: jax.Array, tau: float = TAU) -> jax.Array:
    """How far the prompts of all classes are from telling an image's class, `[B]`.

    With p_k the probabilities of the classes with the prompt of class k, of an image of class y it
    is the sum of three terms, each of which is at least -tau:

      - max over k != y of p_k[k] - p_y[y]: no other prompt is as sure of its own class;
      - the mean over k != y of p_k[k] - max over j != k of p_k[j]: prompts of other classes do not
        claim the image;
      - max over k != y of p_k[y] - p_y[y]: none is as sure of the class as its own prompt.

    Chen et al., "Visual Prompting for Adversarial Robustness" (2210.06284). In the released code
    the means are taken class by class and added up, for as many images of each class K times this.

    Args:
      logits: of each image with the prompt of each class, `[B, K, K]`, K at least 2.
      label: int32 `[B]`.
      tau: of all three terms.
    """
    p = jax.nn.softmax(logits)
    is_own = jax.nn.one_hot(label, p.shape[-1], dtype=bool)
    claims = jnp.diagonal(p, axis1=1, axis2=2)
    of_label = jnp.take_along_axis(p, label[:, None, None], axis=2)[..., 0]
    right = jnp.take_along_axis(claims, label[:, None], axis=1)[:, 0]
    rest = jnp.where(jnp.eye(p.shape[-1], dtype=bool), -jnp.inf, p).max(axis=-1)

    def over_others(x: jax.Array) -> jax.Array:
        return jnp.where(is_own, -jnp.inf, x).max(axis=1) - right

    claimed = jnp.where(is_own, 0.0, jnp.maximum(claims - rest, -tau)).sum(axis=1)
    each = [jnp.maximum(over_others(x), -tau) for x in (claims, of_label)]
    return each[0] + claimed / (p.shape[-1] - 1) + each[1]
