"""Pictures of prompts, for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from vp_jax.errors import UserError
from vp_jax.prompts.base import Params, Prompt
from vp_jax.prompts.chain import chain
from vp_jax.prompts.checks import check_image_shape
from vp_jax.prompts.stage import Stage

_GREY = 128
_PERCENTILE = 99


def to_image(
    prompt: Prompt,
    params: Params,
    image_shape: Sequence[int],
    *,
    rng: jax.Array | None = None,
    **extra: Any,
) -> np.ndarray:
    """Draws what the parameters of a prompt add to an image: grey where they add nothing.

    The prompt is applied to an image of 0.5, and so are its stages without parameters alone; the
    difference d is shown as 128 + 127 * d / m, clipped to 1 .. 255, where m is the 99th percentile
    of |d| over the values that are not zero. The mean and standard deviation of `normalize` are
    taken as 0 and 1, so that d has the units of the stages with parameters. For prompts with a
    filter, such as `conv`, the pixel in the middle of the image is 1.

    Args:
      prompt: the prompt.
      params: its parameters, all finite.
      image_shape: (H, W, C) of the images the parameters are for. One channel is repeated to RGB,
        three are taken as RGB, and of any other number the mean is shown.
      rng: the key of prompts that draw something at every call; `jax.random.key(0)` when None.
      **extra: what else the prompt asks for, of a batch of one image.

    Returns:
      uint8, [H, W, 3]; of a prompt that makes several images of one, all of them in rows.

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
    grey = np.full((1, *image_shape), 0.5, np.float32)
    if any(isinstance(s, Stage) and s.formula.mixes for s in prompt.stages):
        grey[:, image_shape[0] // 2, image_shape[1] // 2] = 1.0
    rng = jax.random.key(0) if rng is None else rng
    extra = {"normalization": ((0.0,) * image_shape[-1], (1.0,) * image_shape[-1]), **extra}
    fixed = [s for s in prompt.stages if isinstance(s, Stage) and s.formula.init is None]
    without = chain(*fixed).apply([{}] * len(fixed), grey, rng=rng, **extra)
    given = prompt.keywords.of({"rng": rng, **extra})
    prompted = np.asarray(prompt.apply(params, grey, **given), np.float64)
    deltas = (prompted - np.asarray(without)).reshape(-1, *image_shape)

    arrays = [*jax.tree.leaves(params), deltas]
    if not all(np.isfinite(np.asarray(array, np.float64)).all() for array in arrays):
        raise UserError(
            "the prompt has values that are not finite (NaN or infinity) and cannot be drawn; its"
            " training has diverged: take an earlier checkpoint or a smaller learning rate"
        )

    if image_shape[-1] != 3:
        deltas = np.repeat(deltas.mean(axis=-1, keepdims=True), 3, axis=-1)
    shown = np.abs(deltas[deltas != 0])
    largest = np.percentile(shown, _PERCENTILE) if shown.size else 1.0
    drawn = np.rint(_GREY + 127 * np.clip(deltas / largest, -1, 1)).astype(np.uint8)
    return _in_rows(drawn)


def _in_rows(pictures: np.ndarray) -> np.ndarray:
    """One picture of several, `[V, H, W, 3]`: as many columns as rows, or one more."""
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = -(-len(pictures) // columns)
    height, width = pictures.shape[1:3]
    cells = np.full((rows * columns, *pictures.shape[1:]), _GREY, np.uint8)
    cells[: len(pictures)] = pictures
    cells = cells.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    return cells.reshape(rows * height, columns * width, 3)
