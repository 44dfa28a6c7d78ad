"""A random mapping: every downstream class gets a source class by lot."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vp_jax.errors import UserError
from vp_jax.heads.base import Head, Params, check_sizes
from vp_jax.heads.mappings.indices import select


def random() -> Head:
    """The logits of K source classes drawn without replacement.

    The random label mapping (RLM) that Chen et al., "Understanding and Improving Visual Prompting:
    A Label-Mapping Perspective" (CVPR 2023, arXiv 2211.11635), compare with.

    Returns:
      The head. It reads logits; its parameters are `indices`, [K], int32, all different, which
      depend on nothing but the key and the sizes given to `init`.

    Raises:
      UserError: in `init`, for more downstream than source classes, or for no key.
    """

    def init_fn(rng: jax.Array | None, inputs: int, classes: int) -> Params:
        inputs, classes = check_sizes(inputs, classes)
        if rng is None:
            raise UserError("head 'random' needs a key: pass rng=jax.random.key(0), or another")
        if classes > inputs:
            raise UserError(
                f"head 'random' draws a source class of its own for each of the {classes} classes,"
                f" but the backbone has only {inputs}; choose another head, such as 'bayesian' or"
                " 'iterative' with --config.head.many_to_one=True"
            )
        drawn = jax.random.permutation(rng, inputs)[:classes]
        return {"indices": drawn.astype(jnp.int32)}

    return Head("logits", init_fn, select, trainable=False, name="random")
