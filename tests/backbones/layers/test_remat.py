"""Activations that are computed again change no number, and take less memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_backbones import features_and_gradient, make
from tiny_clips import random_params

from vp_jax import backbones
from vp_jax.backbones.clip.sizes import ClipSize
from vp_jax.errors import UserError


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clip_vit", "vit", "clip_resnet", "bit"])
def test_the_numbers_are_the_same(name):
    expected = features_and_gradient(make(name))
    for remat in ("elementwise", "blocks"):
        for found, wanted in zip(features_and_gradient(make(name, remat)), expected, strict=True):
            scale = max(1.0, np.abs(wanted).max())
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * scale)


@pytest.mark.skipif(
    jax.__version_info__ < (0, 12), reason="XLA for CPUs then merged what is computed twice"
)
def test_less_is_kept():
    size = ClipSize(16, 64, 8, 64, 8, 4, 16, 1, 2, 80, 12)
    params = random_params(size)
    images = jax.ShapeDtypeStruct((16, 64, 64, 3), jnp.float32)
    memory = []
    for remat in backbones.REMATS:
        backbone = backbones.from_params("own", params, size=size, remat=remat)
        gradient = jax.grad(lambda x, b=backbone: b.apply(b.params, x).sum())
        compiled = jax.jit(gradient).lower(images).compile()
        memory.append(compiled.memory_analysis().temp_size_in_bytes)
    nothing_again, elementwise, blocks = memory
    assert elementwise < 0.9 * nothing_again
    assert blocks < 0.5 * nothing_again


def test_an_unknown_choice_is_refused():
    with pytest.raises(UserError, match="did you mean 'blocks'"):
        backbones.load("clip_tiny", remat="block")
    with pytest.raises(UserError, match="not for scenic's modules"):
        backbones.load("clip_tiny", remat="blocks", source="scenic")
