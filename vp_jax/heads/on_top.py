"""Heads that change the logits of another head, whose own parameters stay what they are."""

from __future__ import annotations

from collections.abc import Callable

import jax

from vp_jax.errors import UserError
from vp_jax.heads.base import Head, Params

NAMES = ("residual", "temperature")
LAYERS = ("linear", "fully_connected")


def on_top(
    name: str,
    base: Head,
    init: Callable[[int], Params],
    change: Callable[[Params, jax.Array], jax.Array],
) -> Head:
    """A head with the parameters of another one, which are fixed, and some that train.

    Args:
      name: of the head.
      base: the other one; it is fitted and refitted as by itself.
      init: from the number of classes to the parameters that train.
      change: from these and the logits of `base`, [B, K] float32, to others.

    Raises:
      UserError: `base` trains by itself, or stands on another head already.
    """
    if base.name in (*LAYERS, *NAMES):
        raise UserError(
            f"the head {name!r} stands on one that does not train, and {base.name!r} does: give it "
            "heads.text, heads.descriptions or an output mapping"
        )

    def init_fn(rng: jax.Array | None, inputs: int, classes: int) -> Params:
        return {**base.init(rng, inputs, classes), **init(classes)}

    def apply_fn(params: Params, x: jax.Array) -> jax.Array:
        return change(params, base.apply(params, x))

    own = tuple(init(1))
    return base._replace(init=init_fn, apply=apply_fn, trainable=True, name=name, own=own)


def split(head: Head, params: Params) -> tuple[Params, Params]:
    """The parameters that train, and those of the head that it stands on; all and none of others.

    >>> from vp_jax import heads
    >>> head = heads.residual(heads.first_k())
    >>> own, base = split(head, head.init(None, 5, 2))
    >>> sorted(own), sorted(base)
    (['residual'], ['indices'])
    """
    if not head.own:
        return params, {}
    own = {key: x for key, x in params.items() if key in head.own}
    return own, {key: x for key, x in params.items() if key not in head.own}
