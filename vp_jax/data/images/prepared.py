"""Images as a classifier takes them: decoded, resized, cropped, and in batches of one shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from vp_jax.data.images.given import pixels
from vp_jax.data.images.host_preprocess import preprocess_one
from vp_jax.data.images.resize_rule import ResizeRule
from vp_jax.errors import UserError

Prepared: TypeAlias = tuple[np.ndarray, ...]
"""An image by each of some rules, uint8 `[S, S, 3]`."""


def prepare(
    image: Any, number: int, rules: Sequence[ResizeRule], upright: bool
) -> Prepared | UserError:
    """Decodes, resizes and crops an image, by each of the rules; or says why it cannot.

    Args:
      image, number, upright: as for `data.images.given.pixels`.
      rules: how it is resized.
    """
    try:
        found = pixels(image, number, upright)
    except UserError as error:
        return error
    return tuple(preprocess_one(found, rule) for rule in rules)


def stacked(batch: Sequence[Prepared | UserError], which: int, size: int, side: int) -> np.ndarray:
    """The images of a batch by one of the rules, uint8 `[size, side, side, 3]`.

    What could not be read, and what is missing to the size, is black.
    """
    images = np.zeros((size, side, side, 3), np.uint8)
    for place, one in enumerate(batch):
        if not isinstance(one, UserError):
            images[place] = one[which]
    return images
