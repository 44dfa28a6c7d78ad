"""Computation in bfloat16: what is in it, what stays in float32, and how far it is off."""

import jax.numpy as jnp
import numpy as np
import pytest
from equations import dtypes
from tiny_backbones import features_and_gradient, make

from vp_jax import backbones

PRODUCTS = ("dot_general", "conv_general_dilated")


@pytest.mark.slow(seconds=4)
@pytest.mark.parametrize("name", ["clip_vit", "resnet_basic", "bit"])
def test_features_and_gradients_are_float32_and_close(name):
    """bfloat16 keeps 8 bits; in ResNets some ReLUs change sides, which gradients show."""
    expected, expected_gradient = features_and_gradient(make(name))
    found, gradient = features_and_gradient(make(name, dtype=jnp.bfloat16))
    assert found.dtype == gradient.dtype == np.float32
    assert 0 < np.linalg.norm(found - expected) < 0.02 * np.linalg.norm(expected)
    cosine = np.vdot(gradient, expected_gradient) / np.linalg.norm(gradient)
    assert cosine > 0.97 * np.linalg.norm(expected_gradient)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clip_vit", "vit", "resnet_bottleneck", "bit"])
def test_every_product_is_in_bfloat16(name):
    backbone = make(name, dtype=jnp.bfloat16)
    images = jnp.zeros((2, backbone.image_size, backbone.image_size, 3))
    found = dtypes(backbone.apply, backbone.params, images, of=PRODUCTS)
    assert found == {"bfloat16"}


@pytest.mark.slow(seconds=6)
def test_texts_are_encoded_in_float32():
    one = backbones.load("clip_tiny")
    other = backbones.load("clip_tiny", dtype=jnp.bfloat16)
    tokens = one.tokenizer(["a photo of a dog"])
    found = [b.encode_text(b.params, tokens) for b in (one, other)]
    np.testing.assert_array_equal(*found)
    images = jnp.ones((1, 32, 32, 3))
    assert np.abs(one.apply(one.params, images) - other.apply(other.params, images)).max() > 0
