"""Changes of colour, as Pillow's ImageEnhance and ImageOps define them, on images in [0, 1].

Pillow computes with whole grey levels, k / 255. Where its definition needs them, levels are rounded
here too: grey images, means, filters, thresholds and tables. Results are not, so that changes of
contrast lose nothing; they are within one grey level of Pillow's, which cuts fractions off.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

GREY_WEIGHTS = (19595 / 2**16, 38470 / 2**16, 7471 / 2**16)
"""Of red, green and blue: ITU-R BT.601's 0.299, 0.587 and 0.114, in Pillow's 16 bits."""


def to_levels(images: jax.Array) -> jax.Array:
    """The nearest grey levels, whole numbers 0 .. 255, in the dtype of the images."""
    return jnp.floor(images * 255.0 + 0.5)


def to_grey(images: jax.Array) -> jax.Array:
    """The lightness of images `[B, S, S, 3]` in whole grey levels: `[B, S, S, 1]`, in [0, 1]."""
    red, green, blue = (images[..., i : i + 1] * GREY_WEIGHTS[i] for i in range(3))
    return to_levels(red + green + blue) / 255.0


def mean_grey(images: jax.Array) -> jax.Array:
    """The mean lightness of each of the images `[B, S, S, 3]`: `[B, 1, 1, 1]`."""
    grey = jax.lax.optimization_barrier(to_grey(images))  # fused sums are 40 times slower on a CPU
    return to_levels(grey.mean(axis=(1, 2, 3), keepdims=True)) / 255.0


def smooth(images: jax.Array) -> jax.Array:
    """Images `[B, S, S, C]` by Pillow's filter SMOOTH; the outermost pixels stay as they are.

    Each pixel counts 5 times, its eight neighbours once.
    """
    size = images.shape[1]
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    box = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    place = jnp.arange(size)
    inner = (place > 0) & (place < size - 1)
    inner = (inner[:, None] & inner[None, :])[..., None]
    return jnp.where(inner, to_levels((box + 4.0 * images) / 13.0) / 255.0, images)


def enhance(images: jax.Array, poor: jax.Array, factor: jax.Array) -> jax.Array:
    """Moves images away from `poor` ones, by which a factor of 0 would replace them.

    Args:
      images: `[B, S, S, 3]`, in [0, 1].
      poor: of a shape that fits them; black for brightness, `mean_grey` for contrast, `to_grey` for
        saturation, `smooth` for sharpness.
      factor: `[B]`, at least 0; 1 changes nothing but for rounding.
    """
    return jnp.clip(poor + factor[:, None, None, None] * (images - poor), 0.0, 1.0)


def posterize(images: jax.Array, bits: jax.Array) -> jax.Array:
    """Keeps the upper bits, `[B]`, 0 to 8, of the grey levels of images `[B, S, S, C]`."""
    step = jnp.exp2(8.0 - bits)[:, None, None, None]
    return jnp.floor(to_levels(images) / step) * step / 255.0


def solarize(images: jax.Array, threshold: jax.Array) -> jax.Array:
    """Inverts the grey levels of images `[B, S, S, C]` from a threshold on, `[B]`, 0 to 255."""
    bright = to_levels(images) >= threshold[:, None, None, None]
    return jnp.where(bright, 1.0 - images, images)


def autocontrast(images: jax.Array) -> jax.Array:
    """Stretches each channel of images `[B, S, S, C]` to [0, 1]; a channel of one level stays."""
    levels = to_levels(images)
    low = levels.min(axis=(1, 2), keepdims=True)
    high = levels.max(axis=(1, 2), keepdims=True)
    stretched = (images * 255.0 - low) / jnp.maximum(high - low, 1.0)
    return jnp.where(high > low, jnp.clip(stretched, 0.0, 1.0), images)


def equalize(images: jax.Array) -> jax.Array:
    """Makes the grey levels of each channel of images `[B, S, S, C]` about equally frequent."""
    count, channels = len(images), images.shape[-1]
    levels = to_levels(images).astype(jnp.int32)
    places = (levels + 256 * jnp.arange(channels)).reshape(count, -1)
    table = jax.vmap(lambda p: _equalizing(_histogram(p, channels)))(places)
    table = jax.lax.optimization_barrier(table)  # or a CPU would compute an entry for every pixel
    equal = jnp.take_along_axis(table.reshape(count, -1), places, axis=1, mode="promise_in_bounds")
    return equal.reshape(images.shape).astype(images.dtype) / 255.0


def _histogram(places: jax.Array, channels: int) -> jax.Array:
    zeros = jnp.zeros(256 * channels, jnp.int32)
    return zeros.at[places].add(1, mode="promise_in_bounds").reshape(channels, 256)


def _equalizing(histogram: jax.Array) -> jax.Array:
    """Pillow's table `[C, 256]` for a histogram `[C, 256]`, int32.

    A level becomes the number of darker pixels, over that of all but the brightest level's by 255,
    in whole numbers. Where that quotient is 0 nothing changes.
    """
    levels = jnp.arange(256)
    brightest = jnp.where(histogram > 0, levels, 0).max(axis=-1, keepdims=True)
    step = jnp.where(levels == brightest, 0, histogram).sum(axis=-1, keepdims=True) // 255
    darker = jnp.cumsum(histogram, axis=-1) - histogram
    table = jnp.minimum((step // 2 + darker) // jnp.maximum(step, 1), 255)
    return jnp.where(step > 0, table, levels)


def shift_hue(images: jax.Array, turns: jax.Array) -> jax.Array:
    """Turns the hue of images `[B, S, S, 3]` in the HSV hexcone (Smith 1978).

    Args:
      images: in [0, 1].
      turns: `[B]`, of the colour circle: 1/3 makes red green, 1 changes nothing but for rounding.
    """
    red, green, blue = images[..., 0], images[..., 1], images[..., 2]
    value = images.max(axis=-1)
    chroma = value - images.min(axis=-1)
    safe = jnp.where(chroma > 0, chroma, 1.0)
    sixths = jnp.where(
        value == red,
        (green - blue) / safe,
        jnp.where(value == green, 2.0 + (blue - red) / safe, 4.0 + (red - green) / safe),
    )
    sixths = (sixths + 6.0 * turns[:, None, None])[..., None]
    away = jnp.array([5.0, 3.0, 1.0], images.dtype) + sixths
    away = away - 6.0 * jnp.floor(away / 6.0)
    away = jnp.clip(jnp.minimum(away, 4.0 - away), 0.0, 1.0)
    return value[..., None] - chroma[..., None] * away
