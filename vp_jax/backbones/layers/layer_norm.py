"""Layer normalisation (Ba, Kiros, Hinton 2016, arXiv 1607.06450) with a gradient of its own."""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

_Saved = tuple[jax.Array, jax.Array, jax.Array, jax.Array]  # input, mean, 1 / deviation, scale


def _mean(x: jax.Array) -> jax.Array:
    return jnp.mean(x, axis=-1, keepdims=True)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def layer_norm(x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float) -> jax.Array:
    r"""`scale * (x - mean) / sqrt(variance + epsilon) + bias` over the last axis.

    The gradient is written out, which makes a CLIP ViT-B/32's training step 5 % shorter on a CPU
    than the one JAX derives (`experiments/benchmarks/layer_norm.py`). With \(\hat x\) the
    normalised vector, \(r\) the factor that made it so and \(g\) the gradient of the result times
    `scale`, the gradient of `x` is
    \(r (g - \mathrm{mean}(g) - \hat x \, \mathrm{mean}(\hat x g))\). It can be differentiated
    again, in reverse mode only.

    Args:
      x: `[..., D]`, float32.
      scale: `[D]`.
      bias: `[D]`.
      epsilon: positive.

    Returns:
      `[..., D]`.
    """
    return _forward(x, scale, bias, epsilon)[0]


def _forward(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[jax.Array, _Saved]:
    mean = _mean(x)
    centred = x - mean
    inverse = jax.lax.rsqrt(_mean(centred * centred) + epsilon)
    return centred * inverse * scale + bias, (x, mean, inverse, scale)


def _backward(
    epsilon: float, saved: _Saved, gradient: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    del epsilon
    x, mean, inverse, scale = saved
    hat = (x - mean) * inverse
    scaled = gradient * scale
    x_gradient = inverse * (scaled - _mean(scaled) - hat * _mean(hat * scaled))
    rows = tuple(range(x.ndim - 1))
    return x_gradient, jnp.sum(gradient * hat, rows), jnp.sum(gradient, rows)


layer_norm.defvjp(_forward, _backward)


class LayerNorm(nn.Module):
    """Layer normalisation of the last axis, computed in float32.

    Attributes:
      epsilon: added to the variance.
      dtype: of the result; None follows the input.
    """

    epsilon: float
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `[..., D]` to the same shape."""
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        wide = jnp.promote_types(x.dtype, jnp.float32)
        y = layer_norm(x.astype(wide), scale.astype(wide), bias.astype(wide), self.epsilon)
        return y.astype(self.dtype or x.dtype)
