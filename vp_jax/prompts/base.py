"""What a prompt is: a pair of pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import jax
from jax.typing import ArrayLike

Params = Any
"""A pytree of float32 arrays."""


class InitFn(Protocol):
    """Draws the parameters of a prompt."""

    def __call__(self, rng: jax.Array, image_shape: Sequence[int]) -> Params:
        """Returns parameters, float32, for images of shape `image_shape` = (H, W, C)."""


class ApplyFn(Protocol):
    """Puts a prompt on images."""

    def __call__(
        self, params: Params, images: ArrayLike, *, rng: jax.Array | None = None
    ) -> jax.Array:
        """Returns prompted images of the same shape and dtype as `images` [..., H, W, C]."""


class Prompt(NamedTuple):
    """A visual prompt: how its parameters are drawn and how they change images.

    Both functions are pure, and may be transformed by `jax.jit`, `jax.vmap` and `jax.grad`. A
    prompt is a tuple of exactly these two, so `init, apply = prompts.pad(30)` unpacks one, and
    `Prompt(init, apply)` makes a new design out of any such pair.

    Attributes:
      init: `init(rng, image_shape) -> params`. `rng` is a key from `jax.random.key`, `image_shape`
        is (H, W, C). `params` is a pytree of float32 arrays.
      apply: `apply(params, images, *, rng=None) -> images`. `images` is [..., H, W, C] with any
        leading dimensions, including none, and any floating dtype, which is also that of the
        result. `rng` is needed by prompts that draw something at every call.
    """

    init: InitFn
    apply: ApplyFn
