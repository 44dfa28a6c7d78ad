"""The operations of RandAugment and TrivialAugment: each image of a batch goes through its own.

Computing all operations of every image and keeping one would be slow. But they come in three
kinds: affine maps, which differ by a matrix; changes of strength, which differ by the image that
they start from and a factor; and changes of each grey level. Every image passes one of each kind
at most.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vp_jax.data.augment import colour
from vp_jax.data.augment.geometry import affine, warp

OPERATIONS = (
    "identity",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "rotate",
    "brightness",
    "color",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
)


def apply_operations(images: jax.Array, operations: jax.Array, magnitudes: jax.Array) -> jax.Array:
    """Applies one operation to each image.

    | operation | magnitude |
    |---|---|
    | shear_x, shear_y | tangent of the angle, about the upper left corner |
    | translate_x, translate_y | pixels to the right, downwards; fractions are cut off |
    | rotate | degrees counter-clockwise about the centre |
    | brightness, color, contrast, sharpness | the factor of `colour.enhance`, less 1 |
    | posterize | bits that are kept |
    | solarize | the first grey level, 0 to 255, that is inverted |
    | identity, autocontrast, equalize | not used |

    Affine maps take the nearest pixel and fill with black, torchvision's default.

    Args:
      images: `[B, S, S, 3]`, floating, in [0, 1].
      operations: `[B]`, int32, places in `OPERATIONS`.
      magnitudes: `[B]`, float32.

    Returns:
      `[B, S, S, 3]`, in [0, 1], of the images' dtype; exactly the images where nothing is done.
    """
    chosen = {name: operations == i for i, name in enumerate(OPERATIONS)}
    x = images.astype(jnp.float32)
    x = _move(x, chosen, magnitudes)
    x = _enhance(x, chosen, magnitudes)
    x = _map_levels(x, chosen, magnitudes)
    return x.astype(images.dtype)


def _move(images: jax.Array, chosen: dict[str, jax.Array], magnitudes: jax.Array) -> jax.Array:
    matrices = affine(
        images.shape[1],
        degrees=jnp.where(chosen["rotate"], magnitudes, 0.0),
        shear_x=jnp.where(chosen["shear_x"], magnitudes, 0.0),
        shear_y=jnp.where(chosen["shear_y"], magnitudes, 0.0),
        move_x=jnp.where(chosen["translate_x"], jnp.trunc(magnitudes), 0.0),
        move_y=jnp.where(chosen["translate_y"], jnp.trunc(magnitudes), 0.0),
    )
    return warp(images, matrices)


def _enhance(images: jax.Array, chosen: dict[str, jax.Array], magnitudes: jax.Array) -> jax.Array:
    poor = jnp.where(_wide(chosen["color"]), colour.to_grey(images), 0.0)
    poor = jnp.where(_wide(chosen["contrast"]), colour.mean_grey(images), poor)
    poor = jnp.where(_wide(chosen["sharpness"]), colour.smooth(images), poor)
    any_of_them = chosen["color"] | chosen["contrast"] | chosen["sharpness"] | chosen["brightness"]
    return jnp.where(_wide(any_of_them), colour.enhance(images, poor, 1.0 + magnitudes), images)


def _map_levels(
    images: jax.Array, chosen: dict[str, jax.Array], magnitudes: jax.Array
) -> jax.Array:
    bits = jnp.where(chosen["posterize"], magnitudes, 8.0)
    x = jnp.where(_wide(chosen["posterize"]), colour.posterize(images, bits), images)
    x = jnp.where(_wide(chosen["solarize"]), colour.solarize(images, magnitudes), x)
    x = jnp.where(_wide(chosen["autocontrast"]), colour.autocontrast(images), x)
    return jnp.where(_wide(chosen["equalize"]), colour.equalize(images), x)


def _wide(flags: jax.Array) -> jax.Array:
    return flags[:, None, None, None]
