"""Random flips and crops of training images, inside the compiled step."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from vp_jax.errors import UserError

Augment = Callable[[jax.Array, jax.Array], jax.Array]

MAX_ASPECT = 4 / 3
"""Widest crop, width by height; the tallest is its inverse."""


def make_augment(flip: bool, crop_scale: float) -> Augment | None:
    """Returns a function that flips and crops images at random, or None if both are off.

    Each image of a batch draws for itself. A flip, left to right, has probability 1/2. A crop
    (Szegedy et al. 2015, arXiv 1409.4842) has an area uniform in `[crop_scale, 1]` of the image,
    log(width / height) uniform in `[log 3/4, log 4/3]`, and a uniform place; it is resized to the
    image's size, bilinear and antialiased. Aspect ratios at which a large crop would not fit are
    clipped to the nearest at which it does, so that areas stay uniform.

    Args:
      flip: whether to flip.
      crop_scale: the least area of a crop as a share of the image, in (0, 1]; 1.0 turns cropping
        off.

    Returns:
      `augment(rng, images) -> images`: a pure function of a random key and images
      `[B, S, S, 3]`, floating, in [0, 1]; the result has the same shape, dtype and range. The
      first images of a batch do not depend on how many follow.

    Raises:
      UserError: `crop_scale` is out of range; when called, images are not floating
        `[B, S, S, C]`.

    >>> make_augment(flip=False, crop_scale=1.0) is None
    True
    """
    if not 0 < crop_scale <= 1:
        raise UserError(
            f"crop_scale is {crop_scale}; it must be in (0, 1], the least area of a random crop "
            "as a share of the image (1.0 turns cropping off)"
        )
    if not flip and crop_scale == 1:
        return None

    def augment(rng: jax.Array, images: jax.Array) -> jax.Array:
        images = jnp.asarray(images)
        _check(images)
        flip_key, crop_key = jax.random.split(rng)
        if crop_scale < 1:
            corners, sizes = _draw_boxes(crop_key, len(images), crop_scale)
            images = jax.vmap(_crop)(images, corners, sizes)
        if flip:
            flipped = jax.random.bernoulli(flip_key, 0.5, (len(images), 1, 1, 1))
            images = jnp.where(flipped, images[:, :, ::-1], images)
        return images

    return augment


def _draw_boxes(rng: jax.Array, count: int, least_area: float) -> tuple[jax.Array, jax.Array]:
    """Upper left corners and sizes, (rows, columns) as shares of the side: two `[count, 2]`."""
    area_key, aspect_key, place_key = jax.random.split(rng, 3)
    area = jax.random.uniform(area_key, (count,), minval=least_area, maxval=1.0)
    limit = math.log(MAX_ASPECT)
    log_aspect = jax.random.uniform(aspect_key, (count,), minval=-limit, maxval=limit)
    widest = -jnp.log(area)  # A crop of this area is then as wide as the image.
    log_aspect = jnp.clip(log_aspect, -widest, widest)
    stretch = jnp.exp(jnp.stack([-log_aspect, log_aspect], axis=-1) / 2)
    sizes = jnp.minimum(jnp.sqrt(area)[:, None] * stretch, 1.0)
    return jax.random.uniform(place_key, (count, 2)) * (1.0 - sizes), sizes


def _crop(image: jax.Array, corner: jax.Array, size: jax.Array) -> jax.Array:
    """The box of one image `[S, S, C]`, resized to `[S, S, C]`."""
    scale = 1.0 / size
    translation = -corner * image.shape[0] * scale
    cropped = jax.image.scale_and_translate(
        image, image.shape, (0, 1), scale, translation, method="bilinear", antialias=True
    )
    return jnp.clip(cropped, 0.0, 1.0)  # Weights sum to 1 but for rounding.


def _check(images: jax.Array) -> None:
    square = images.ndim == 4 and images.shape[1] == images.shape[2]
    if not square or not jnp.issubdtype(images.dtype, jnp.floating):
        raise UserError(
            f"augmentation takes floating images [B, S, S, C] in [0, 1], got {images.dtype} of "
            f"shape {images.shape}: call preprocess first"
        )
