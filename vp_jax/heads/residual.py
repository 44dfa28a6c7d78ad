"""A learned mixture of the classes' logits, on top of another head."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vp_jax.errors import UserError
from vp_jax.heads.base import Head, Params
from vp_jax.heads.on_top import on_top


def residual(base: Head) -> Head:
    """Every class's logit plus a learned mixture of all of them: `z = f (I + E)`.

    With f the logits of `base`, [B, K]. E begins at zero, where z is f; its gradient there is
    f^T dL/dz. RVP (2609.36680), which trains E at a rate of 1e-3 beside 40 for the prompt, and also
    the weights by which a class averages its texts: these bring 0.1 of its points, and are left
    out.

    Args:
      base: `text`, `descriptions` or an output mapping; it stays as it begins, or is fitted anew as
        it is by itself.

    Returns:
      The head. It reads what `base` reads; its parameters are those of `base`, which gradients do
      not train, and `residual`, [K, K], float32, zeros.

    Raises:
      UserError: `base` is a layer that trains, or stands on another head already.

    >>> import jax
    >>> from vp_jax import heads
    >>> head = heads.residual(heads.first_k())
    >>> params = head.init(None, 5, 2)
    >>> head.apply(params, jax.numpy.arange(5.0)[None])
    Array([[0., 1.]], dtype=float32)
    """

    def init(classes: int) -> Params:
        return {"residual": jnp.zeros((classes, classes), jnp.float32)}

    def change(params: Params, logits: jax.Array) -> jax.Array:
        return logits + logits @ params["residual"]

    return on_top("residual", base, init, change)


def fold(params: Params, inputs: int) -> Params:
    """The one layer that does what a residual head on texts or on an output mapping does.

    Args:
      params: of `residual(text(...))`, or of a residual on a mapping of source classes.
      inputs: width of the features, or number of source classes.

    Returns:
      `kernel`, [inputs, K], and `bias`, [K], zeros: parameters of `linear`, for features divided by
      their length, or of `fully_connected`.

    Raises:
      UserError: the parameters are of another head, such as `descriptions`, which is not linear.
    """
    if "text_features" in params:
        matrix = params["logit_scale"] * jnp.asarray(params["text_features"]).T
    elif "indices" in params:
        matrix = jax.nn.one_hot(params["indices"], inputs, dtype=jnp.float32).T
    elif "weights" in params:
        matrix = jnp.asarray(params["weights"])
    else:
        raise UserError(
            f"a head with the parameters {', '.join(sorted(params))} is no single layer: only a "
            "residual on texts or on a mapping of source classes is"
        )
    kernel = matrix + matrix @ params["residual"]
    return {"kernel": kernel, "bias": jnp.zeros(kernel.shape[-1], jnp.float32)}
