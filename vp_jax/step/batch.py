"""The examples of one step."""

from __future__ import annotations

from typing import NamedTuple

import jax


class Batch(NamedTuple):
    """Examples of one step; rows whose mask is False count for nothing.

    Attributes:
      image: `[B, h, w, 3]`, uint8.
      label: `[B]`, int32.
      mask: `[B]`, bool.
      features: of the images without a prompt, `[B, D]` float32, where the prompt asks for them
        and they are known; else None.
      teacher: logits of the model that is learned from, `[B, K]` float32; None without one.
    """

    image: jax.Array
    label: jax.Array
    mask: jax.Array
    features: jax.Array | None = None
    teacher: jax.Array | None = None
