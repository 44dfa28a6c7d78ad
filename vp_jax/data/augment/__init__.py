"""Random augmentation of training images, inside the compiled step. All of it is off by default."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from vp_jax.data.augment.geometry import check_crop_scale, random_crop, random_flip
from vp_jax.data.augment.jitter import make_jitter
from vp_jax.data.augment.mixing import Mix, Mixing, make_mixing, mix_images
from vp_jax.data.augment.policies import POLICIES, make_policy
from vp_jax.errors import UserError

__all__ = [
    "POLICIES",
    "Augment",
    "Mix",
    "Mixing",
    "make_augment",
    "make_mixing",
    "mix_images",
]

Augment = Callable[[jax.Array, jax.Array], jax.Array]

_JITTER_STREAM, _POLICY_STREAM = 2, 3  # 0 and 1 are what `split` gives to flips and crops


def make_augment(
    flip: bool = False,
    crop_scale: float = 1.0,
    color_jitter: float | Sequence[float] = 0.0,
    policy: str = "",
    randaugment_ops: int = 2,
    randaugment_magnitude: int = 9,
) -> Augment | None:
    """Returns a function that augments images at random, or None if everything is off.

    Crop, flip, colour jitter and policy act in this order, and each image of a batch draws for
    itself.

    Args:
      flip: whether to mirror half of the images, left to right.
      crop_scale: the least area of a crop as a share of the image, in (0, 1]; 1.0 turns cropping
        off. See `geometry.random_crop`.
      color_jitter: how far brightness, contrast, saturation and hue may change: four numbers, or
        one for the first three. 0.0 turns it off. See `jitter.make_jitter`.
      policy: `"randaugment"`, `"trivialaugment"`, or `""` for none. See `policies.make_policy`.
      randaugment_ops: operations that RandAugment applies to each image, at least 1.
      randaugment_magnitude: their magnitude, 0 to 30.

    Returns:
      `augment(rng, images) -> images`: a pure function of a random key and images
      `[B, S, S, 3]`, floating, in [0, 1]; the result has the same shape, dtype and range. The
      first images of a batch do not depend on how many follow.

    Raises:
      UserError: a setting is out of range; when called, images are not floating `[B, S, S, 3]`.

    >>> make_augment() is None
    True
    """
    check_crop_scale(crop_scale)
    jitter = make_jitter(color_jitter)
    apply_policy = make_policy(policy, randaugment_ops, randaugment_magnitude)
    if not flip and crop_scale == 1 and jitter is None and apply_policy is None:
        return None

    def augment(rng: jax.Array, images: jax.Array) -> jax.Array:
        images = jnp.asarray(images)
        _check(images)
        flip_key, crop_key = jax.random.split(rng)
        if crop_scale < 1:
            images = random_crop(crop_key, images, crop_scale)
        if flip:
            images = random_flip(flip_key, images)
        if jitter is not None:
            images = jitter(jax.random.fold_in(rng, _JITTER_STREAM), images)
        if apply_policy is not None:
            images = apply_policy(jax.random.fold_in(rng, _POLICY_STREAM), images)
        return images

    return augment


def _check(images: jax.Array) -> None:
    square = images.ndim == 4 and images.shape[1] == images.shape[2] and images.shape[3] == 3
    if not square or not jnp.issubdtype(images.dtype, jnp.floating):
        raise UserError(
            f"augmentation takes floating images [B, S, S, 3] in [0, 1], got {images.dtype} of "
            f"shape {images.shape}: call preprocess first"
        )
