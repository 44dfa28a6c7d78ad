"""Which operations an image goes through, and how strongly: RandAugment and TrivialAugment."""

from __future__ import annotations

import numbers
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax.data.augment.operations import OPERATIONS, apply_operations
from vp_jax.errors import UserError, unknown

POLICIES = ("randaugment", "trivialaugment")

STEPS = 30
"""Magnitudes count from 0 to this."""

SIGNED = frozenset(OPERATIONS[1:10])  # shears, translations, rotations and changes of strength

_STRONGEST = {  # of either policy, at magnitude 30
    "randaugment": {"shear": 0.3, "rotate": 30.0, "enhance": 0.9, "posterize": 4},
    "trivialaugment": {"shear": 0.99, "rotate": 135.0, "enhance": 0.99, "posterize": 6},
}


def magnitude_table(policy: str, size: int) -> np.ndarray:
    """What each operation does at each magnitude: torchvision's ranges, without signs.

    Magnitudes grow linearly, from nothing at 0. RandAugment moves images by up to 150/331 of
    their side, TrivialAugment by up to 32 pixels.

    Args:
      policy: one of `POLICIES`.
      size: the side of the images in pixels.

    Returns:
      `[14, 31]`, float32, by place in `OPERATIONS` and magnitude, as `apply_operations` takes it.
    """
    strongest = _STRONGEST[policy]
    grid = np.linspace(0.0, 1.0, STEPS + 1)
    move = 150.0 / 331.0 * size if policy == "randaugment" else 32.0
    rows = {
        **dict.fromkeys(("shear_x", "shear_y"), strongest["shear"] * grid),
        **dict.fromkeys(("translate_x", "translate_y"), move * grid),
        "rotate": strongest["rotate"] * grid,
        **dict.fromkeys(
            ("brightness", "color", "contrast", "sharpness"), strongest["enhance"] * grid
        ),
        "posterize": 8 - np.round(strongest["posterize"] * grid),
        "solarize": 255.0 * (1.0 - grid),
    }
    return np.stack([rows.get(name, 0.0 * grid) for name in OPERATIONS]).astype(np.float32)


def make_policy(
    policy: str, randaugment_ops: int = 2, randaugment_magnitude: int = 9
) -> Callable[[jax.Array, jax.Array], jax.Array] | None:
    """Returns a function that applies random operations to images, or None for `""`.

    RandAugment (Cubuk et al. 2020, arXiv 1909.13719) applies `randaugment_ops` operations, one
    after the other, each drawn anew out of the 14 of `OPERATIONS`, all of the same magnitude.
    TrivialAugment (Müller and Hutter 2021, arXiv 2103.10158, its wide ranges) applies one, of a
    magnitude drawn from 0 to 30. Where an operation has two directions, either has probability 1/2.

    Args:
      policy: one of `POLICIES`, or `""`.
      randaugment_ops: at least 1.
      randaugment_magnitude: 0 to 30.

    Returns:
      `apply(rng, images) -> images`, floating `[B, S, S, 3]`, in [0, 1].

    Raises:
      UserError: an unknown policy, or a number that is out of range.
    """
    _check_int("randaugment_ops", randaugment_ops, 1, None)
    _check_int("randaugment_magnitude", randaugment_magnitude, 0, STEPS)
    if policy == "":
        return None
    if policy not in POLICIES:
        raise unknown("augmentation policy", policy, POLICIES)

    def draw_and_apply(rng: jax.Array, images: jax.Array) -> jax.Array:
        least, most = 0, STEPS
        if policy == "randaugment":
            least = most = randaugment_magnitude
        table = magnitude_table(policy, images.shape[1])
        operations, magnitudes = draw_operations(rng, len(images), table, least, most)
        return apply_operations(images, operations, magnitudes)

    def apply(rng: jax.Array, images: jax.Array) -> jax.Array:
        if policy == "trivialaugment":
            return draw_and_apply(rng, images)
        keys = jax.random.split(rng, randaugment_ops)
        return jax.lax.scan(lambda x, key: (draw_and_apply(key, x), None), images, keys)[0]

    return apply


def draw_operations(
    rng: jax.Array, count: int, table: np.ndarray, least: int, most: int
) -> tuple[jax.Array, jax.Array]:
    """Draws an operation and its signed magnitude for each image.

    Args:
      rng: a random key.
      count: the number B of images.
      table: of `magnitude_table`.
      least: the least magnitude, 0 to 30.
      most: the greatest, inclusive.

    Returns:
      `[B]` int32, places in `OPERATIONS`, and `[B]` float32, as `apply_operations` takes them.
    """
    operation_key, step_key, sign_key = jax.random.split(rng, 3)
    operations = jax.random.randint(operation_key, (count,), 0, len(OPERATIONS))
    steps = jax.random.randint(step_key, (count,), least, most + 1)
    negative = jax.random.bernoulli(sign_key, 0.5, (count,))
    signed = jnp.array([name in SIGNED for name in OPERATIONS])
    magnitudes = jnp.asarray(table)[operations, steps]
    return operations, jnp.where(negative & signed[operations], -magnitudes, magnitudes)


def _check_int(name: str, value: object, least: int, most: int | None) -> None:
    good = (
        isinstance(value, numbers.Integral)
        and not isinstance(value, bool)
        and least <= int(value)
        and (most is None or int(value) <= most)
    )
    if not good:
        valid = f"at least {least}" if most is None else f"{least} to {most}"
        raise UserError(f"{name} is {value!r}; it must be a whole number, {valid}")
