"""Pictures of prompts, for people."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from vp_jax.errors import UserError
from vp_jax.prompts.base import Params, Prompt
from vp_jax.prompts.checks import check_image_shape

_GREY = 128
_PERCENTILE = 99


def to_image(
    prompt: Prompt,
    params: Params,
    image_shape: Sequence[int],
    *,
    rng: jax.Array | None = None,
) -> np.ndarray:
    """Draws what a prompt adds to an image: grey where it adds nothing.

    The prompt is applied to an image of 0.5 and the difference d is shown as 128 + 127 * d / m,
    clipped to 1 .. 255, where m is the 99th percentile of |d| over the values that are not zero.
    A bounded prompt is clipped at 0 and 1, so what is shown of it lies within 0.5 of the grey.

    Args:
      prompt: the prompt.
      params: its parameters, all finite.
      image_shape: (H, W, C) of the images the parameters are for. One channel is repeated to RGB,
        three are taken as RGB, and of any other number the mean is shown.
      rng: the key of prompts that draw something at every call; `jax.random.key(0)` when None.

    Returns:
      uint8, [H, W, 3].

    Raises:
      UserError: when a parameter or the difference is not finite, or `params` do not fit.

    >>> import jax
    >>> from vp_jax import prompts
    >>> prompt = prompts.pad(4)
    >>> params = prompt.init(jax.random.key(0), (32, 32, 3))
    >>> picture = prompts.to_image(prompt, params, (32, 32, 3))
    >>> picture.shape, picture.dtype, picture[16, 16].tolist()
    ((32, 32, 3), dtype('uint8'), [128, 128, 128])
    """
    image_shape = check_image_shape(image_shape)
    grey = np.full(image_shape, 0.5, np.float32)
    rng = jax.random.key(0) if rng is None else rng
    delta = np.asarray(prompt.apply(params, grey, rng=rng), np.float64) - grey

    arrays = [*jax.tree.leaves(params), delta]
    if not all(np.isfinite(np.asarray(array, np.float64)).all() for array in arrays):
        raise UserError(
            "the prompt has values that are not finite (NaN or infinity) and cannot be drawn; its"
            " training has diverged: take an earlier checkpoint or a smaller learning rate"
        )

    if image_shape[-1] != 3:
        delta = np.repeat(delta.mean(axis=-1, keepdims=True), 3, axis=-1)
    shown = np.abs(delta[delta != 0])
    largest = np.percentile(shown, _PERCENTILE) if shown.size else 1.0
    return np.rint(_GREY + 127 * np.clip(delta / largest, -1, 1)).astype(np.uint8)
