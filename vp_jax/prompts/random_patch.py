"""The random patch prompt: a square at a place drawn anew at every call."""

from __future__ import annotations

from collections.abc import Sequence

import jax
from jax.typing import ArrayLike

from vp_jax.errors import UserError
from vp_jax.prompts.base import Params, Prompt
from vp_jax.prompts.checks import (
    check_image_shape,
    check_images,
    check_int,
    check_params,
    check_space,
)
from vp_jax.prompts.initializers import initializer
from vp_jax.prompts.overlay import add_patch


def random_patch(
    size: int,
    *,
    init: str = "normal",
    scale: float = 1.0,
    space: str = "normalized",
    bounded: bool = False,
) -> Prompt:
    """A square of `size` pixels added at a random place, one for the whole batch.

    Its parameters are `patch`, float32, [size, size, C]; every pixel outside the square is
    untouched, bit for bit. As in Bahng et al. (2022), the first row is uniform over
    0 .. H - size - 1 and the first column over 0 .. W - size - 1, both ends included: the square
    never touches the last row or column of the image.

    Args:
      size: side of the square in pixels; at least 1 and below min(H, W).
      init: `"normal"` (unit normal), `"uniform"` (on [-1, 1)) or `"zeros"`.
      scale: what the drawn values are multiplied by, so that `"uniform"` is on [-scale, scale).
      space: what the images handed to `apply` are: `"normalized"` or `"pixel"`; see `pad`.
      bounded: whether prompted pixels are clipped to [0, 1]; only in pixel space.

    Returns:
      The prompt. Its `apply` needs `rng`, a new key for every batch. A place for every image is
      had with `jax.vmap` over keys and images.

    Raises:
      UserError: here for an impossible setting; in `init` and `apply` for images that are too
        small, not floating, or of another shape than the parameters, and for a missing `rng`.

    >>> import jax
    >>> from vp_jax import prompts
    >>> init, apply = prompts.random_patch(2)
    >>> params = init(jax.random.key(0), (8, 8, 3))
    >>> images = apply(params, jax.numpy.zeros((8, 8, 3)), rng=jax.random.key(1))
    >>> int((images != 0).sum())
    12
    """
    size = check_int("the size of a patch", size, 1)
    check_space(space, bounded)
    draw = initializer(init, scale)
    name = f"random_patch(size={size})"

    def shapes(height: int, width: int, channels: int) -> dict[str, tuple[int, int, int]]:
        if size >= min(height, width):
            raise UserError(
                f"{name} does not fit images of height {height} and width {width}: size must be"
                f" below both; the largest size that fits is {min(height, width) - 1}"
            )
        return {"patch": (size, size, channels)}

    def init_fn(rng: jax.Array, image_shape: Sequence[int]) -> Params:
        return draw(rng, shapes(*check_image_shape(image_shape)))

    def apply_fn(params: Params, images: ArrayLike, *, rng: jax.Array | None = None) -> jax.Array:
        images = check_images(images)
        height, width, channels = images.shape[-3:]
        check_params(name, params, shapes(height, width, channels), images.shape)
        if rng is None:
            raise UserError(
                f"{name} draws its place at every call and needs a key: pass"
                " rng=jax.random.key(...), a new one for every batch"
            )
        row_key, column_key = jax.random.split(rng)
        top = jax.random.randint(row_key, (), 0, height - size)
        left = jax.random.randint(column_key, (), 0, width - size)
        return add_patch(images, params["patch"], top, left, bounded=bounded)

    return Prompt(init_fn, apply_fn)
