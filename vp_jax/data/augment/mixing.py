"""Mixup and CutMix: training on mixtures of two images of a batch, and of their labels."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vp_jax.errors import UserError


class Mix(NamedTuple):
    """How the images of one batch are mixed.

    Attributes:
      partner: `[B]`, int32: the row that each row is mixed with; its own where it is masked.
      share: of a row's own label, float32, in [0, 1]; its partner's has the rest.
      box: `[4]`, int32: first row and column in which partners show, and the first after them.
      own: weight of a row's own pixels in the box, float32; outside it is 1.
    """

    partner: jax.Array
    share: jax.Array
    box: jax.Array
    own: jax.Array


Mixing = Callable[[jax.Array, jax.Array], Mix]


def make_mixing(mixup: float, cutmix: float, image_size: int) -> Mixing | None:
    """Returns a function that draws how a batch is mixed, or None if both are off.

    One share is drawn for the whole batch, from Beta(alpha, alpha). Mixup (Zhang et al. 2018, arXiv
    1710.09412) adds images in this proportion. CutMix (Yun et al. 2019, arXiv 1905.04899) pastes a
    square of the partner, of the area that the share leaves, about a uniform place; it is cut off
    at the border, and the share becomes what is really left. With both, each batch takes one of
    them, either with probability 1/2. Partners are the next in a random cycle through the unmasked
    rows, so that every image is the partner of one other.

    Args:
      mixup: alpha, at least 0; 0 turns it off.
      cutmix: alpha, at least 0; 0 turns it off.
      image_size: the side of the images in pixels.

    Returns:
      `mixing(rng, mask) -> Mix`: a pure function of a random key and the mask of a batch, `[B]`
      bool. Masked rows at the end change nothing for the others.

    Raises:
      UserError: an alpha is negative, not finite or not a number.

    >>> make_mixing(0.0, 0.0, 224) is None
    True
    """
    for name, alpha in (("mixup", mixup), ("cutmix", cutmix)):
        if not isinstance(alpha, numbers.Real) or not 0 <= alpha < math.inf:
            raise UserError(
                f"{name} is {alpha!r}; it must be 0 or more and finite, the alpha of the Beta "
                "distribution that shares are drawn from (0.0 turns it off)"
            )
    if mixup == 0 and cutmix == 0:
        return None
    mixup_rate = 1.0 if cutmix == 0 else 0.5 if mixup > 0 else 0.0

    def mixing(rng: jax.Array, mask: jax.Array) -> Mix:
        partner_key, which_key, share_key, box_key = jax.random.split(rng, 4)
        adds = jax.random.bernoulli(which_key, mixup_rate)
        alpha = jnp.where(adds, mixup, cutmix)
        share = jax.random.beta(share_key, alpha, alpha, dtype=jnp.float32)
        box, rest = _draw_box(box_key, share, image_size)
        whole = jnp.array([0, 0, image_size, image_size], jnp.int32)
        return Mix(
            partner=_draw_partners(partner_key, mask),
            share=jnp.where(adds, share, rest),
            box=jnp.where(adds, whole, box),
            own=jnp.where(adds, share, 0.0),
        )

    return mixing


def mix_images(images: jax.Array, mix: Mix) -> jax.Array:
    """Mixes images `[B, S, S, C]` as drawn; the result has their dtype."""
    top, left, bottom, right = mix.box
    rows, columns = jnp.arange(images.shape[1])[:, None], jnp.arange(images.shape[2])[None, :]
    inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    own = jnp.where(inside, mix.own, 1.0)[None, :, :, None].astype(images.dtype)
    return own * images + (1 - own) * images[mix.partner]


def _draw_partners(rng: jax.Array, mask: jax.Array) -> jax.Array:
    """The next row of each in a random cycle through the unmasked ones; masked rows themselves."""
    draws = jnp.where(mask, jax.random.uniform(rng, mask.shape), 2.0)
    order = jnp.argsort(draws)  # unmasked rows first
    count = mask.sum()
    place = jnp.arange(len(mask))
    follower = order[jnp.where(place + 1 < count, place + 1, 0)]
    follower = jnp.where(place < count, follower, order)
    return jnp.zeros_like(order).at[order].set(follower).astype(jnp.int32)


def _draw_box(rng: jax.Array, share: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """A square box of the area that `share` leaves, cut off at the border, and the true share."""
    half = jnp.floor(size * jnp.sqrt(1.0 - share)).astype(jnp.int32) // 2
    centre = jax.random.randint(rng, (2,), 0, size)
    corner, end = jnp.clip(centre - half, 0, size), jnp.clip(centre + half, 0, size)
    return jnp.concatenate([corner, end]), 1.0 - (end - corner).prod() / size**2
