"""What every image tower refuses."""

from __future__ import annotations

import jax

from vp_jax.errors import UserError


def check_images(images: jax.Array, image_size: int) -> None:
    """Refuses images that are not `[B, S, S, 3]`, S being `image_size`.

    Raises:
      UserError: names both shapes.
    """
    expected = (image_size, image_size, 3)
    if images.ndim != 4 or images.shape[1:] != expected:
        raise UserError(
            f"the images have shape {images.shape}, the backbone takes [B, {image_size}, "
            f"{image_size}, 3]: resize them with vp_jax.data.images.preprocess"
        )
