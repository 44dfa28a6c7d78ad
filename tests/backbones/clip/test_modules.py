import jax
import jax.numpy as jnp
import numpy as np
from tiny_clips import VIT, random_params

from vp_jax.backbones.layers.patches import patches
from vp_jax.backbones.layers.transformer import LAYER_NORM_EPSILON


def _layer_norm(params, x):
    x = x - x.mean(-1, keepdims=True)
    x = x / jnp.sqrt((x**2).mean(-1, keepdims=True) + LAYER_NORM_EPSILON)
    return x * params["scale"] + params["bias"]


def _dense(params, x):
    return x @ params["kernel"] + params.get("bias", 0.0)


def _full_block(params, heads, x):
    """A block for all tokens, one head at a time."""
    normed = _layer_norm(params["ln_1"], x)
    qkv = normed @ params["attn"]["qkv_kernel"] + params["attn"]["qkv_bias"]
    q, k, v = (jnp.split(part, heads, axis=-1) for part in jnp.split(qkv, 3, axis=-1))
    mixed = []
    for i in range(heads):
        scores = q[i] @ jnp.swapaxes(k[i], 1, 2) / jnp.sqrt(q[i].shape[-1])
        mixed.append(jax.nn.softmax(scores, axis=-1) @ v[i])
    x = x + _dense(params["attn"]["out"], jnp.concatenate(mixed, axis=-1))
    hidden = _dense(params["mlp_fc"], _layer_norm(params["ln_2"], x))
    return x + _dense(params["mlp_proj"], hidden * jax.nn.sigmoid(1.702 * hidden))


def test_class_token_alone_in_the_last_block_equals_the_full_computation():
    params = random_params(VIT)["visual"]
    rng = np.random.default_rng(1)
    images, cotangent = rng.normal(size=(3, 24, 24, 3)), rng.normal(size=(3, VIT.embed_dim))

    def full(images):
        x = _dense(params["patch_embedding"], patches(images, VIT.patch_size))
        token = jnp.broadcast_to(params["class_embedding"], (len(images), 1, VIT.vision_width))
        x = jnp.concatenate([token, x], axis=1) + params["positional_embedding"]
        x = _layer_norm(params["ln_pre"], x)
        for i in range(VIT.vision_layers):
            x = _full_block(params[f"blocks_{i}"], VIT.vision_heads, x)
        return _dense(params["proj"], _layer_norm(params["ln_post"], x)[:, 0])

    def short(images):
        return VIT.image_tower().apply({"params": params}, images)

    def with_gradient(f):
        features, pullback = jax.vjp(f, jnp.asarray(images, jnp.float32))
        return features, pullback(jnp.asarray(cotangent, jnp.float32))[0]

    with jax.default_matmul_precision("highest"):
        features, gradient = jax.jit(lambda: with_gradient(short))()
        expected, expected_gradient = jax.jit(lambda: with_gradient(full))()
    scale = np.abs(expected_gradient).max()
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=0, atol=1e-5 * scale)


def test_text_behind_the_end_token_has_no_effect_and_id_0_is_a_real_token():
    params = random_params(VIT)["text"]
    encode = jax.jit(lambda tokens: VIT.text_tower().apply({"params": params}, tokens))
    tokens = np.tile(np.array([78, 5, 0, 79, 0, 0, 0, 0, 0, 0, 0, 0], np.int32), (3, 1))
    tokens[1, 5:] = 7  # behind the end token, the highest id
    tokens[2, 2] = 1
    plain, changed_behind, changed_zero = np.asarray(encode(tokens))
    np.testing.assert_allclose(plain, changed_behind, rtol=0, atol=1e-6)
    np.testing.assert_allclose(plain, encode(tokens[:1, :4])[0], rtol=0, atol=1e-5)
    assert np.abs(plain - changed_zero).max() > 1e-3


def test_patches_are_row_column_channel():
    images = np.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
    cut = np.asarray(patches(jnp.asarray(images), 2))
    assert cut.shape == (2, 6, 12)
    np.testing.assert_array_equal(cut[1, 4], images[1, 2:4, 2:4].reshape(-1))
