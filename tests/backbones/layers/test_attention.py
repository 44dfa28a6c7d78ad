"""Attention against its definition, and which kernel computes it."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from equations import dtypes

from vp_jax.backbones.layers import attention as attention_lib
from vp_jax.backbones.layers.attention import attention, even_lengths, is_fused


def reference(query, key, value, causal):
    """Float64, one image and one head at a time."""
    query, key, value = (np.asarray(x, np.float64) for x in (query, key, value))
    out = np.zeros(query.shape)
    for b in range(query.shape[0]):
        for h in range(query.shape[2]):
            scores = query[b, :, h] @ key[b, :, h].T / np.sqrt(query.shape[-1])
            if causal:
                scores = np.where(np.tril(np.ones(scores.shape)) > 0, scores, -np.inf)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            out[b, :, h] = weights / weights.sum(-1, keepdims=True) @ value[b, :, h]
    return out


def draw(queries=7, dtype=jnp.float32):
    rng = np.random.default_rng(0)
    shapes = ((2, queries, 3, 8), (2, 7, 3, 8), (2, 7, 3, 8))
    return tuple(jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes)


@pytest.mark.parametrize(("queries", "causal"), [(7, False), (7, True), (1, False)])
def test_it_is_softmax_attention(queries, causal):
    arrays = draw(queries)
    found = attention(*arrays, causal=causal)
    np.testing.assert_allclose(found, reference(*arrays, causal), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("queries", "causal"), [(7, False), (7, True), (1, False)])
def test_its_gradient_is_that_of_jax(queries, causal):
    arrays = draw(queries)
    weights = jnp.cos(jnp.arange(2 * queries * 3 * 8).reshape(2, queries, 3, 8))

    def gradients(function):
        loss = lambda *x: (function(*x) * weights).sum()  # noqa: E731
        return jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(*arrays)

    found = gradients(functools.partial(attention, causal=causal))
    known = gradients(functools.partial(jax.nn.dot_product_attention, is_causal=causal))
    for ours, theirs in zip(found, known, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_large_scores_do_not_overflow():
    arrays = tuple(100 * x for x in draw())
    np.testing.assert_allclose(attention(*arrays), reference(*arrays, False), rtol=1e-5, atol=1e-3)


def test_softmax_is_in_float32_where_products_are_in_bfloat16():
    arrays = draw(dtype=jnp.bfloat16)
    assert dtypes(attention, *arrays, of=("exp",)) == {"float32"}
    assert dtypes(attention, *arrays, of=("dot_general",)) == {"bfloat16"}
    found = attention(*arrays)
    assert found.dtype == jnp.bfloat16
    expected = reference(*(x.astype(jnp.float32) for x in arrays), causal=False)
    np.testing.assert_allclose(found.astype(jnp.float32), expected, rtol=0, atol=0.02)


@pytest.mark.parametrize(
    ("dtype", "width", "platform", "capability", "expected"),
    [
        (jnp.bfloat16, 64, "cuda 13000", "9.0", True),
        (jnp.bfloat16, 80, "cuda 13000", "8.0", True),
        (jnp.float32, 64, "cuda 13000", "9.0", False),
        (jnp.bfloat16, 60, "cuda 13000", "9.0", False),
        (jnp.bfloat16, 256, "cuda 13000", "9.0", False),
        (jnp.bfloat16, 64, "cuda 13000", "7.5", False),
        (jnp.bfloat16, 64, "rocm 60300", "9.0", False),
    ],
)
def test_the_fused_kernel_is_taken_where_there_is_one(
    monkeypatch, dtype, width, platform, capability, expected
):
    device = types.SimpleNamespace(
        client=types.SimpleNamespace(platform_version=platform), compute_capability=capability
    )
    monkeypatch.setattr(attention_lib.jax, "local_devices", lambda: [device])
    assert is_fused(jnp.dtype(dtype), width) is expected


def test_a_cpu_has_none():
    assert not is_fused(jnp.dtype(jnp.bfloat16), 64)


LENGTHS = ((50, 50, False), (197, 197, False), (1, 50, False), (1, 197, False), (77, 77, True))


def value_and_gradients(function, arrays):
    weights = jnp.cos(jnp.arange(arrays[0].size).reshape(arrays[0].shape))
    loss = lambda *x: (function(*x).astype(jnp.float32) * weights).sum()  # noqa: E731
    return function(*arrays), *jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(*arrays)


def draw_lengths(queries, keys, dtype):
    rng = np.random.default_rng(0)
    shapes = ((2, queries, 2, 64), (2, keys, 2, 64), (2, keys, 2, 64))
    return tuple(jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes)


@pytest.mark.slow
@pytest.mark.parametrize(("queries", "keys", "causal"), LENGTHS)
def test_a_token_more_to_be_even_changes_nothing(queries, keys, causal):
    arrays = draw_lengths(queries, keys, jnp.float32)
    even = functools.partial(even_lengths, causal=causal, kernel="xla")
    plain = functools.partial(jax.nn.dot_product_attention, is_causal=causal)
    found, known = value_and_gradients(even, arrays), value_and_gradients(plain, arrays)
    for ours, theirs in zip(found, known, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.skipif(not is_fused(jnp.bfloat16, 64), reason="no NVIDIA card with cuDNN's attention")
@pytest.mark.parametrize(("queries", "keys", "causal"), LENGTHS)
def test_the_fused_kernel_computes_the_same(queries, keys, causal):
    arrays = draw_lengths(queries, keys, jnp.bfloat16)
    wide = tuple(x.astype(jnp.float32) for x in arrays)
    plain = functools.partial(jax.nn.dot_product_attention, is_causal=causal)
    found = value_and_gradients(functools.partial(attention, causal=causal), arrays)
    with jax.default_matmul_precision("highest"):
        known = value_and_gradients(plain, wide)
    for ours, theirs in zip(found, known, strict=True):
        assert ours.dtype == jnp.bfloat16
        np.testing.assert_allclose(ours.astype(jnp.float32), theirs, rtol=0.02, atol=0.02)
