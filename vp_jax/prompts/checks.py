"""Checks of what users hand to prompts; every failure is a `UserError`."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from vp_jax.errors import UserError, unknown


def check_int(what: str, value: object, minimum: int) -> int:
    """Returns `value` as an int; refuses other types (bools too) and values below `minimum`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise UserError(f"{what} must be an int of at least {minimum}, got {value!r}")
    return int(value)


def check_image_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    """Returns (H, W, C) as three ints of at least 1; refuses any other shape."""
    try:
        height, width, channels = image_shape
    except (TypeError, ValueError):
        raise UserError(
            f"image_shape must be (height, width, channels), got {image_shape!r}"
        ) from None
    return (
        check_int("the image height", height, 1),
        check_int("the image width", width, 1),
        check_int("the number of image channels", channels, 1),
    )


def check_images(images: ArrayLike) -> jax.Array:
    """Returns images as an array; refuses fewer than three dimensions and dtypes not floating."""
    images = jnp.asarray(images)
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise UserError(
            f"prompts apply to floating images, got {images.dtype} of shape {images.shape}: cast"
            " and normalise them first, for example images.astype('float32') / 255"
        )
    if images.ndim < 3:
        raise UserError(f"images must be [..., height, width, channels], got shape {images.shape}")
    return images


def resolve(
    what: str, name: object, makers: Mapping[str, Callable[..., Any]], settings: Iterable[str]
) -> tuple[Callable[..., Any], list[str]]:
    """Finds what a config names.

    Args:
      what: is made, for messages, such as `"prompt"`.
      name: one of the keys of `makers`.
      makers: functions by name.
      settings: names of the arguments that are given.

    Returns:
      The function, and its arguments that have no default and are not given.

    Raises:
      UserError: for unknown names or settings, with the nearest valid ones.
    """
    if not isinstance(name, str) or name not in makers:
        raise unknown(what, name, makers)
    make = makers[name]
    parameters = inspect.signature(make).parameters
    for setting in settings:
        if setting not in parameters:
            raise unknown(f"setting of {what} {name!r}:", setting, parameters)
    needed = [p.name for p in parameters.values() if p.default is p.empty]
    return make, [setting for setting in needed if setting not in settings]
