"""Parts of a batch give what the whole batch gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import backbones
from vp_jax.backbones.layers import side_by_side as side_by_side_lib
from vp_jax.backbones.layers.side_by_side import side_by_side


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    """Tests may be bound to one."""
    monkeypatch.setattr(side_by_side_lib, "_cores", lambda: 2)


def parts_of(batch):
    """The sizes of the parts that a batch is computed in; only the first of them is traced."""
    traced = []

    @side_by_side
    def apply(params, images):
        traced.append(images.shape[0])
        return images.mean((1, 2)) * params

    images = jax.random.uniform(jax.random.key(0), (batch, 4, 4, 3))
    out = apply(2.0, images)
    np.testing.assert_allclose(out, images.mean((1, 2)) * 2.0, rtol=1e-6)
    calls = [e for e in jax.make_jaxpr(apply)(2.0, images).eqns if e.params.get("name") == "apply"]
    parts = [call.invars[1].aval.shape[0] for call in calls]
    assert traced == parts[:1]
    return parts


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (1, [1]),
        (15, [15]),
        (16, [8, 8]),
        (24, [8, 8, 8]),
        (25, [25]),
        (32, [8] * 4),
        (100, [25] * 4),
    ],
)
def test_parts_are_equal_and_not_small(monkeypatch, batch, expected):
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    assert parts_of(batch) == expected


def test_several_devices_share_the_batch_already(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 2)
    assert parts_of(32) == [32]


def test_a_core_alone_takes_the_whole_batch(monkeypatch):
    monkeypatch.setattr(side_by_side_lib, "_cores", lambda: 1)
    assert parts_of(32) == [32]


@pytest.mark.slow
def test_features_and_gradients_are_those_of_the_whole_batch(monkeypatch):
    model = "resnet20_cifar"
    params = jax.jit(backbones.init_params, static_argnums=0)(model, jax.random.key(0))
    backbone = backbones.from_params(model, params)
    params = backbone.image_params()
    size = backbone.image_size
    images = jax.random.normal(jax.random.key(1), (16, size, size, 3))

    def loss(delta):
        features = backbone.apply(params, images + delta)
        return jnp.sum(features[:, ::2] ** 2), features

    found = {}
    for devices in (1, 2):
        monkeypatch.setattr(jax, "device_count", lambda devices=devices: devices)
        jax.clear_caches()
        found[devices] = jax.jit(jax.grad(loss, has_aux=True))(jnp.zeros((size, size, 3)))
    (gradient, features), (whole_gradient, whole_features) = found[1], found[2]
    np.testing.assert_allclose(features, whole_features, atol=1e-5)
    scale = np.abs(whole_gradient).max()
    np.testing.assert_allclose(gradient / scale, whole_gradient / scale, atol=1e-5)
