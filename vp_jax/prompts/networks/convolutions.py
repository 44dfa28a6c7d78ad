"""Layers of the small networks that make prompts of images or features."""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp

GROUP = 8
"""Channels that `normalized` looks at together."""

_EPSILON = 1e-5


def uniform(
    rng: jax.Array, shapes: Mapping[str, tuple[int, ...]], inputs: int
) -> dict[str, jax.Array]:
    """Arrays of a layer, float32, uniform on +- 1 / sqrt(values that an output depends on); what is
    called `scale` is one, and `shift` zero."""
    bound, found = 1 / math.sqrt(inputs), {}
    for key, (name, shape) in zip(jax.random.split(rng, len(shapes)), shapes.items(), strict=True):
        found[name] = jax.random.uniform(key, shape, jnp.float32, -bound, bound)
    fixed = {"scale": jnp.ones, "shift": jnp.zeros}
    return found | {name: make(shapes[name]) for name, make in fixed.items() if name in shapes}


def convolved(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`[N, H, W, C]` with a kernel `[k, k, C, D]` and zeros around the image: `[N, H, W, D]`."""
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def normalized(x: jax.Array, scale: jax.Array, shift: jax.Array) -> jax.Array:
    """Group normalisation (Wu and He, arXiv 1803.08494) of `[N, H, W, C]`, by image and group."""
    grouped = x.reshape(*x.shape[:-1], -1, math.gcd(GROUP, x.shape[-1]))
    mean = grouped.mean(axis=(1, 2, 4), keepdims=True)
    spread = grouped.var(axis=(1, 2, 4), keepdims=True) + _EPSILON
    return ((grouped - mean) * jax.lax.rsqrt(spread)).reshape(x.shape) * scale + shift


def halved(x: jax.Array) -> jax.Array:
    """The largest of every two by two of `[N, H, W, C]`; a last single row or column stays."""
    window = (1, 2, 2, 1)
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "SAME")


def repeated(x: jax.Array, times: int, height: int, width: int) -> jax.Array:
    """Every value of `[N, h, w, C]` over a square of its own, cut to `[N, height, width, C]`."""
    x = jnp.repeat(jnp.repeat(x, times, axis=1), times, axis=2)
    return x[:, :height, :width]


def doubled(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`[N, H, W, C]` with two by two pixels for each by a kernel `[2, 2, C, D]`: a transposed
    convolution of stride 2."""
    count, height, width, _ = x.shape
    y = jnp.einsum("nhwc,abcd->nhawbd", x, kernel)
    return y.reshape(count, 2 * height, 2 * width, -1)


def doubled_apart(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Likewise, of each channel `m` others of its own: a kernel `[2, 2, C, m]`."""
    count, height, width, _ = x.shape
    y = jnp.einsum("nhwc,abcm->nhawbcm", x, kernel)
    return y.reshape(count, 2 * height, 2 * width, -1)
