import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax.backbones.layers.layer_norm import LayerNorm, layer_norm

EPSILON = 1e-5


def reference(x, scale, bias):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return scale * (x - mean) / jnp.sqrt(variance + EPSILON) + bias


def pulled_back(function, arguments, gradient):
    return jax.jit(lambda a, g: jax.vjp(function, *a)[1](g))(arguments, gradient)


def inputs(dtype=jnp.float32, shape=(3, 5, 16)):
    keys = jax.random.split(jax.random.key(0), 4)
    x = 3 + 2 * jax.random.normal(keys[0], shape, dtype)
    scale, bias = (jax.random.normal(k, shape[-1:], dtype) for k in keys[1:3])
    return (x, scale, bias), jax.random.normal(keys[3], shape, dtype)


def test_values_are_those_of_flax():
    (x, scale, bias), _ = inputs()
    params = {"params": {"scale": scale, "bias": bias}}
    theirs = nn.LayerNorm(epsilon=EPSILON, use_fast_variance=False).apply(params, x)
    np.testing.assert_allclose(LayerNorm(EPSILON).apply(params, x), theirs, atol=2e-6)


@pytest.mark.parametrize("shape", [(3, 5, 16), (7, 16), (16,)])
def test_gradients_of_all_three_arguments(shape):
    with jax.enable_x64(True):
        arguments, gradient = inputs(jnp.float64, shape)
        ours = pulled_back(lambda *a: layer_norm(*a, EPSILON), arguments, gradient)
        theirs = pulled_back(reference, arguments, gradient)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_second_derivatives():
    with jax.enable_x64(True):
        (x, scale, bias), gradient = inputs(jnp.float64, (4, 8))

        def slope(function):
            def loss(x):
                return (gradient * jnp.sin(function(x, scale, bias))).sum()

            return jax.jit(jax.grad(lambda x: (jax.grad(loss)(x) ** 2).sum()))(x)

        ours = slope(lambda *a: layer_norm(*a, EPSILON))
        np.testing.assert_allclose(ours, slope(reference), rtol=1e-9, atol=1e-11)


def test_half_precision_is_computed_in_float32():
    (x, scale, bias), _ = inputs()
    params = {"params": {"scale": scale, "bias": bias}}
    half = (1000 + x).astype(jnp.bfloat16)
    y = LayerNorm(EPSILON, dtype=jnp.bfloat16).apply(params, half)
    assert y.dtype == jnp.bfloat16
    exact = reference(half.astype(jnp.float32), scale, bias)
    np.testing.assert_allclose(y.astype(jnp.float32), exact, rtol=1e-2, atol=1e-2)


def test_equal_values_have_finite_gradients():
    (x, scale, bias), gradient = inputs()
    zeros = jnp.zeros_like(x)
    arguments = zeros, scale, bias
    for part in pulled_back(lambda *a: layer_norm(*a, EPSILON), arguments, gradient):
        assert np.isfinite(part).all()
