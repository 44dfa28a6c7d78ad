"""Several texts a class: an image is of the class whose best texts it resembles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from vp_jax.errors import UserError
from vp_jax.heads.base import Head, Params, check_sizes
from vp_jax.heads.text import text, unit
from vp_jax.precision import wide
from vp_jax.prompts.checks import check_int

BEST = 3


def descriptions(
    texts: Sequence[Sequence[ArrayLike]], logit_scale: ArrayLike, best: int = BEST
) -> Head:
    """Cosines with the texts of each class, the mean of the best ones, times a scale.

    For each kind of text, with `s[m]` the cosines of an image with the texts of a class:

        logit = scale * mean over kinds of (mean of the `best` largest s[m])

    AttrVR (Cai et al., ICLR 2025, 2501.13982), which has 20 descriptive and 20 distinctive texts a
    class and takes the best three of each. A class with fewer texts takes all that it has. One text
    a class is the head `text`.

    Args:
      texts: for every kind and every class, its texts' features, [M, D], of unit length; M may be
        different for each and is at least 1.
      logit_scale: as for `text`.
      best: how many of the texts count, at least 1.

    Returns:
      The head. It reads features; its parameters, which gradients are not meant to train, are
      `texts`, [kinds, K, M, D] with zeros behind the texts of a class, `counts`, [kinds, K],
      float32, `logit_scale`, and `best`, int32.

    Raises:
      UserError: a class has no text, or as `text`.
    """
    best = check_int("the number of best texts of head 'descriptions'", best, 1)
    kinds = [[np.asarray(own, np.float32) for own in kind] for kind in texts]
    if not kinds or len({len(kind) for kind in kinds}) != 1:
        raise UserError("head 'descriptions' needs texts of the same classes for every kind")
    for own in (own for kind in kinds for own in kind):
        text(own, logit_scale)  # refuses what is not [M, D] of unit length
    classes, width = len(kinds[0]), kinds[0][0].shape[1]
    counts = np.array([[len(own) for own in kind] for kind in kinds], np.float32)
    every = np.zeros((len(kinds), classes, int(counts.max()), width), np.float32)
    for kind, place in np.ndindex(*counts.shape):
        every[kind, place, : int(counts[kind, place])] = kinds[kind][place]

    def init_fn(rng: jax.Array | None, inputs: int, wanted: int) -> Params:
        del rng
        if check_sizes(inputs, wanted) != (width, classes):
            raise UserError(
                f"head 'descriptions' has texts of {classes} classes and width {width}, but the "
                f"task has {wanted} classes and the backbone gives features of width {inputs}"
            )
        return {
            "texts": jnp.asarray(every),
            "counts": jnp.asarray(counts),
            "logit_scale": jnp.asarray(logit_scale, jnp.float32),
            "best": jnp.int32(best),
        }

    return Head("features", init_fn, described, trainable=False, name="descriptions")


def described(params: Mapping[str, jax.Array], features: jax.Array) -> jax.Array:
    """Logits [B, K], float32, of features [B, D]; the parameters are those of `descriptions`."""
    similar = jnp.einsum("bd,gkmd->bgkm", unit(wide(features)), params["texts"])
    place = jnp.arange(similar.shape[-1])
    present = place < params["counts"][..., None]
    largest = -jnp.sort(-jnp.where(present, similar, -jnp.inf), axis=-1)
    taken = jnp.minimum(params["best"], params["counts"])[..., None]
    mean = jnp.sum(jnp.where(place < taken, largest, 0.0), axis=-1) / taken[..., 0]
    return params["logit_scale"] * mean.mean(axis=1)
