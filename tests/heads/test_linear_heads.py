import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import heads
from vp_jax.errors import UserError

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("make", "takes"), [(heads.linear, "features"), (heads.fully_connected, "logits")]
)
def test_an_affine_map_that_trains(make, takes):
    head = make()
    assert head.takes == takes and head.trainable
    params = head.init(KEY, 6, 4)
    assert {name: (value.shape, value.dtype) for name, value in params.items()} == {
        "kernel": ((6, 4), jnp.float32),
        "bias": ((4,), jnp.float32),
    }
    params["bias"] = jnp.arange(4.0)
    x = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    expected = x @ np.asarray(params["kernel"]) + np.arange(4)
    np.testing.assert_allclose(jax.jit(head.apply)(params, x), expected, rtol=1e-5, atol=1e-5)
    gradients = jax.grad(lambda p: (head.apply(p, x) ** 2).sum())(params)
    assert all(np.abs(g).min() > 0 for g in jax.tree.leaves(gradients))


def test_the_kernel_is_lecun_normal_and_the_bias_zero():
    params = heads.linear().init(KEY, 400, 300)
    np.testing.assert_allclose(np.std(params["kernel"]), 1 / 20, rtol=0.02)
    assert not np.asarray(params["bias"]).any()


@pytest.mark.parametrize("name", ["linear", "fully_connected"])
def test_mistakes(name):
    head = heads.by_name(name)
    with pytest.raises(UserError, match=f"{name}.* needs a key"):
        head.init(None, 6, 4)
    with pytest.raises(UserError, match="6 inputs, but the backbone gives 5"):
        head.apply(head.init(KEY, 6, 4), np.zeros((2, 5)))
