"""The paper's mapping: downstream class i is source class i."""

from __future__ import annotations

import jax

from vp_jax.errors import UserError
from vp_jax.heads.base import Head, Params, check_sizes
from vp_jax.heads.mappings.indices import first_indices, select


def first_k() -> Head:
    """The first K source logits, in order: downstream class i is source class i.

    This is the hard-coded mapping of Bahng et al., "Exploring Visual Prompts for Adapting
    Large-Scale Models" (2022), for models with a classifier of their own.

    Returns:
      The head. It reads logits; its parameters are `indices`, [K], int32.

    Raises:
      UserError: in `init`, for more downstream than source classes.

    >>> from vp_jax import heads
    >>> heads.first_k().init(None, 1000, 3)["indices"].tolist()
    [0, 1, 2]
    """

    def init_fn(rng: jax.Array | None, inputs: int, classes: int) -> Params:
        del rng
        inputs, classes = check_sizes(inputs, classes)
        if classes > inputs:
            raise UserError(
                f"head 'first_k' takes the first {classes} source classes, one for each class, but"
                f" the backbone has only {inputs}; choose another head, such as 'bayesian' or"
                " 'iterative' with --config.head.many_to_one=True"
            )
        return {"indices": first_indices(inputs, classes)}

    return Head("logits", init_fn, select, trainable=False, name="first_k")
