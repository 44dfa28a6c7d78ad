"""The random patch prompt: a square at a place drawn anew at every call."""

from __future__ import annotations

import jax

from vp_jax.prompts.arguments import Pixels
from vp_jax.prompts.base import Params
from vp_jax.prompts.geometry.overlay import add_patch
from vp_jax.prompts.initializers import Init, Scale, initializer
from vp_jax.prompts.stage import Formula, stage


@stage
def random_patch(size: Pixels, *, init: Init = "normal", scale: Scale = 1.0) -> Formula:
    """A square of `size` pixels added at a random place, one for the whole batch.

    Its parameters are `patch`, float32, [size, size, C]; every pixel outside the square is
    untouched, bit for bit. As in Bahng et al. (2022), the first row is uniform over
    0 .. H - size - 1 and the first column over 0 .. W - size - 1, both ends included: the square
    never touches the last row or column of the image.

    Args:
      size: side of the square in pixels; at least 1 and below min(H, W).
      init, scale: as for `pad`.

    Returns:
      The stage. Its `apply` needs `rng`, a new key for every batch. A place for every image is
      had with `jax.vmap` over keys and images.

    Raises:
      UserError: for an impossible argument; in `init` and `apply` for images that do not fit.

    >>> import jax
    >>> from vp_jax import prompts
    >>> init, apply = prompts.random_patch(2)
    >>> params = init(jax.random.key(0), (8, 8, 3))
    >>> images = apply(params, jax.numpy.zeros((8, 8, 3)), rng=jax.random.key(1))
    >>> int((images != 0).sum())
    12
    """
    draw = initializer(init, scale)

    def init_fn(rng: jax.Array, image_shape: tuple[int, int, int]) -> Params:
        return draw(rng, {"patch": (size, size, image_shape[-1])})

    def apply_fn(params: Params, images: jax.Array, *, rng: jax.Array) -> jax.Array:
        row_key, column_key = jax.random.split(rng)
        top = jax.random.randint(row_key, (), 0, images.shape[-3] - size)
        left = jax.random.randint(column_key, (), 0, images.shape[-2] - size)
        return add_patch(images, params["patch"], top, left)

    return Formula(apply_fn, init_fn, least=(size + 1, size + 1))
