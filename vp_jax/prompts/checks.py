"""Checks of what users hand to prompts; every failure is a `UserError`."""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from vp_jax.errors import UserError, unknown
from vp_jax.prompts.base import Params

SPACES = ("normalized", "pixel")


def check_int(what: str, value: object, minimum: int) -> int:
    """Returns `value` as an int; refuses other types (bools too) and values below `minimum`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise UserError(f"{what} must be an int of at least {minimum}, got {value!r}")
    return int(value)


def check_scale(scale: object) -> float:
    """Returns `scale` as a float; refuses what is not a finite number of at least 0."""
    if isinstance(scale, bool) or not isinstance(scale, numbers.Real):
        raise UserError(f"scale must be a number, got {scale!r}")
    if not math.isfinite(scale) or scale < 0:
        raise UserError(f"scale must be finite and at least 0, got {scale!r}")
    return float(scale)


def check_space(space: object, bounded: object) -> None:
    """Refuses unknown spaces, and `bounded=True` anywhere but in pixel space."""
    if space not in SPACES:
        raise unknown("space", space, SPACES)
    if not isinstance(bounded, bool):
        raise UserError(f"bounded must be True or False, got {bounded!r}")
    if bounded and space != "pixel":
        raise UserError(
            f"bounded=True needs space='pixel', got space={space!r}: only pixel values have the"
            " bounds 0 and 1; normalised values do not"
        )


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


def check_params(
    name: str,
    params: Params,
    expected: Mapping[str, tuple[int, ...]],
    image_shape: tuple[int, ...],
) -> None:
    """Refuses parameters whose names or shapes are not those `image_shape` asks for.

    Args:
      name: the prompt as its user wrote it, for the message.
      params: the parameters handed to `apply`.
      expected: the shape each named parameter must have.
      image_shape: the images' shape, for the message.
    """
    if not isinstance(params, Mapping):
        raise UserError(
            f"{name}: params must be a dict of {', '.join(expected)}, got {type(params).__name__}"
        )
    found = {key: jnp.shape(value) for key, value in params.items()}
    if found != dict(expected):
        raise UserError(
            f"{name}: images of shape {tuple(image_shape)} need parameters of shapes"
            f" {dict(expected)}, got {found}; draw them with init(rng, {tuple(image_shape[-3:])})"
        )


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
