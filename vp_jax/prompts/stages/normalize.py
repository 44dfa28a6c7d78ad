"""From pixel values in [0, 1] to what a backbone takes."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vp_jax.errors import UserError
from vp_jax.prompts.base import Params
from vp_jax.prompts.stage import Formula, stage

Numbers = tuple[float, ...]


@stage
def normalize(mean: Numbers | None = None, std: Numbers | None = None) -> Formula:
    """`(images - mean) / std`, a number of each for every channel.

    Args:
      mean: of the channels; None takes the backbone's, `normalization=(mean, std)` in `apply`.
      std: likewise; positive.

    Raises:
      UserError: for one of the two alone, or numbers that do not fit each other or the channels.

    >>> import jax
    >>> from vp_jax import prompts
    >>> images = jax.numpy.ones((2, 4, 4, 1))
    >>> float(prompts.normalize((0.5,), (0.25,)).apply({}, images).max())
    2.0
    >>> float(prompts.normalize().apply({}, images, normalization=((0.5,), (0.5,))).max())
    1.0
    """

    def own(params: Params, images: jax.Array) -> jax.Array:
        return _normalized(images, mean or (), std or ())

    def of_backbone(
        params: Params, images: jax.Array, *, normalization: tuple[Numbers, Numbers]
    ) -> jax.Array:
        return _normalized(images, *normalization)

    if (mean is None) != (std is None):
        raise UserError(f"mean and std go together, got mean={mean} and std={std}")
    if not all(s > 0 for s in std or ()):
        raise UserError(f"std must be positive, got {std}")
    return Formula(of_backbone if std is None else own, takes_pixels=True, normalizes=True)


def _normalized(images: jax.Array, mean: Numbers, std: Numbers) -> jax.Array:
    shift, scale = jnp.asarray(mean, float), jnp.asarray(std, float)
    if not shift.shape == scale.shape == images.shape[-1:]:
        raise UserError(
            f"images of shape {images.shape} need one mean and one std for each of their channels,"
            f" got {len(mean)} and {len(std)}"
        )
    return ((images - shift) / scale).astype(images.dtype)
