"""Factors for the lowest frequencies of the image."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax.errors import UserError
from vp_jax.precision import wide
from vp_jax.prompts.base import Params
from vp_jax.prompts.stage import Formula, stage


@stage
def fourier(share: float = 0.01) -> Formula:
    """Multiplies the amplitudes of the lowest frequencies, and keeps their phases.

    `x + Re F^-1[(P - 1) F[x]]`, of each channel, F the discrete Fourier transform: for an image
    that is the real part of what has P for a factor, which is real as it is where P(f) = P(-f).
    Its parameters are P, `amplitude`, float32, [k, k, C], ones at first, so that images begin as
    they are, bit for bit. k is `share * min(H, W)`, rounded down, but at least 1: the mean of the
    channel alone. The frequencies are -(k // 2) and up, of both axes.

    The prompt of VPTTA (Chen et al., CVPR 2024), who find it anew for every image of a test, with
    75 numbers at 512 and 27 at 352. There the square of an odd k lies off the middle by one, and
    the factors of a channel act on the one before it.

    Args:
      share: above 0, at most 1.

    >>> import jax
    >>> from vp_jax import prompts
    >>> prompts.count(prompts.fourier().init(jax.random.key(0), (352, 352, 3)))
    27
    """
    if not 0 < share <= 1:
        raise UserError(f"share must be above 0 and at most 1, got {share}")

    def init_fn(rng: jax.Array, image_shape: tuple[int, int, int]) -> Params:
        height, width, channels = image_shape
        side = max(math.floor(share * min(height, width)), 1)
        return {"amplitude": jnp.ones((side, side, channels), jnp.float32)}

    def apply_fn(params: Params, images: jax.Array) -> jax.Array:
        gain, (height, width) = params["amplitude"] - 1, images.shape[-3:-1]
        real = wide(images)
        down, across = (_waves(side, len(gain), real.dtype) for side in (height, width))
        einsum = functools.partial(jnp.einsum, precision="highest")
        found = einsum("...hwc,hf,wg->...fgc", real, down.conj(), across.conj())
        change = einsum("...fgc,hf,wg->...hwc", gain * found, down, across).real
        return (images + change / (height * width)).astype(images.dtype)

    return Formula(apply_fn, init_fn, mixes=True)


def _waves(side: int, count: int, real: np.dtype) -> np.ndarray:
    """exp(2 pi i x f / side), [side, count], of every pixel x and each low frequency f."""
    frequencies = np.arange(count) - count // 2
    waves = np.exp(2j * np.pi / side * np.outer(np.arange(side), frequencies))
    return waves.astype(jnp.result_type(real, np.complex64))
