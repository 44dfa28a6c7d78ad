"""Flips, crops and affine maps: where the pixels of an image come from."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from vp_jax.errors import UserError

MAX_ASPECT = 4 / 3
"""Widest crop, width by height; the tallest is its inverse."""


def check_crop_scale(crop_scale: float) -> None:
    """Refuses a share of the area that is not in (0, 1]."""
    if not 0 < crop_scale <= 1:
        raise UserError(
            f"crop_scale is {crop_scale}; it must be in (0, 1], the least area of a random crop "
            "as a share of the image (1.0 turns cropping off)"
        )


def random_flip(rng: jax.Array, images: jax.Array) -> jax.Array:
    """Mirrors each of the images `[B, S, S, C]` left to right with probability 1/2."""
    flipped = jax.random.bernoulli(rng, 0.5, (len(images), 1, 1, 1))
    return jnp.where(flipped, images[:, :, ::-1], images)


def random_crop(rng: jax.Array, images: jax.Array, least_area: float) -> jax.Array:
    """Crops each of the images `[B, S, S, C]` at random and resizes it to what it was.

    As in Szegedy et al. 2015 (arXiv 1409.4842): the area is uniform in `[least_area, 1]` of the
    image, log(width / height) uniform in `[log 3/4, log 4/3]`, the place uniform; resizing is
    bilinear and antialiased. Aspect ratios at which a large crop would not fit are clipped to the
    nearest at which it does, so that areas stay uniform.
    """
    corners, sizes = draw_boxes(rng, len(images), least_area)
    return jax.vmap(_crop)(images, corners, sizes)


def draw_boxes(rng: jax.Array, count: int, least_area: float) -> tuple[jax.Array, jax.Array]:
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


def affine(
    size: int,
    degrees: jax.Array,
    shear_x: jax.Array,
    shear_y: jax.Array,
    move_x: jax.Array,
    move_y: jax.Array,
) -> jax.Array:
    """Matrices from places in the result to places in the image, for one change each.

    Places are (x, y) in pixels from the upper left corner; the centre of the first pixel is
    (1/2, 1/2). Of the five numbers of an image at most one may differ from 0.

    Args:
      size: the side S of the images.
      degrees: `[B]`, turns counter-clockwise about the centre.
      shear_x: `[B]`, row y takes its pixels from `shear_x * y` further right.
      shear_y: `[B]`, column x takes its pixels from `shear_y * x` further down.
      move_x: `[B]`, pixels to the right.
      move_y: `[B]`, pixels downwards.

    Returns:
      `[B, 2, 3]`, float32.
    """
    cos, sin = jnp.cos(jnp.deg2rad(degrees)), jnp.sin(jnp.deg2rad(degrees))
    centre = size / 2
    x = jnp.stack([cos, shear_x - sin, centre * (1 - cos + sin) - move_x], axis=-1)
    y = jnp.stack([shear_y + sin, cos, centre * (1 - cos - sin) - move_y], axis=-1)
    return jnp.stack([x, y], axis=1)


def warp(images: jax.Array, matrices: jax.Array) -> jax.Array:
    """The nearest pixel at the place that a matrix gives, and 0 where that is outside the image.

    Args:
      images: `[B, S, S, C]`, floating.
      matrices: `[B, 2, 3]`, of `affine`. The identity changes nothing, exactly.
    """
    count, size = images.shape[:2]
    centres = jnp.arange(size, dtype=jnp.float32) + 0.5
    x, y = centres[None, None, :], centres[None, :, None]
    m = matrices[..., None, None]
    columns, rows = (jnp.floor(m[:, i, 0] * x + m[:, i, 1] * y + m[:, i, 2]) for i in (0, 1))
    inside = (columns >= 0) & (columns < size) & (rows >= 0) & (rows < size)
    places = jnp.clip(rows, 0, size - 1) * size + jnp.clip(columns, 0, size - 1)
    moved = jnp.take_along_axis(
        images.reshape(count, size * size, -1),
        places.astype(jnp.int32).reshape(count, size * size, 1),
        axis=1,
        mode="promise_in_bounds",
    )
    return jnp.where(inside[..., None], moved.reshape(images.shape), 0.0)
