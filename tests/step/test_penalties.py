"""Penalties of what a prompt changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vp_jax import backbones, prompts
from vp_jax.step.batch import Batch
from vp_jax.step.penalties import PENALTIES, Penalties, make_change

SIDE = 8
PIXELS = jax.random.randint(jax.random.key(0), (3, SIDE, SIDE, 3), 0, 256).astype(jnp.uint8)
IMAGES = PIXELS / np.float32(255)


def backbone():
    return backbones.from_fn(
        lambda params, images: images.reshape(len(images), -1) @ params["kernel"],
        {"kernel": jnp.ones((SIDE * SIDE * 3, 4))},
        image_size=SIDE,
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.3, 0.4),
    )


@pytest.mark.parametrize("text", ["full", "normalize | full", "shrink(6) | full | clip"])
def test_the_change_is_of_pixel_values(text):
    prompt, model = prompts.parse(text), backbone()
    params = prompt.init(jax.random.key(1), (SIDE, SIDE, 3))
    params = jax.tree.map(lambda x: 0.01 * x, params)
    delta = next(x["delta"] for x in params if "delta" in x)
    change, before = make_change(model, prompt)({"prompt": params}, PIXELS, rng=None)
    if "shrink" not in text:
        scale = jnp.array(model.std) if text.startswith("normalize") else 1.0
        np.testing.assert_allclose(change, scale * delta + 0 * IMAGES, atol=1e-6)
        np.testing.assert_allclose(before, IMAGES, atol=1e-6)
    else:
        assert (before[:, 0] == 0).all() or np.abs(before[:, 0]).max() < 1e-6
        np.testing.assert_allclose(
            change[:, 3, 3], np.clip(before[:, 3, 3] + delta[3, 3], 0, 1) - before[:, 3, 3],
            atol=1e-6,
        )  # fmt: skip


@pytest.mark.slow
def test_their_values():
    change = jax.random.normal(jax.random.key(2), (2, 3, SIDE, SIDE, 3))
    d = np.asarray(change, np.float64)
    found = PENALTIES["tv"](change, IMAGES)
    expected = np.abs(np.diff(d, axis=2)).mean((2, 3, 4)) + np.abs(np.diff(d, axis=3)).mean(
        (2, 3, 4)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(PENALTIES["l2"](change, IMAGES), (d**2).mean((2, 3, 4)), rtol=1e-5)

    luma = np.asarray(IMAGES, np.float64) @ [0.299, 0.587, 0.114]
    spread = np.empty_like(luma)
    for row in range(SIDE):
        for column in range(SIDE):
            around = luma[:, max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4]
            spread[:, row, column] = around.std(axis=(1, 2))
    expected = (np.abs(d @ [0.299, 0.587, 0.114]) / (0.02 + spread)).mean((2, 3))
    np.testing.assert_allclose(PENALTIES["visibility"](change, IMAGES), expected, rtol=1e-4)
    plain = jnp.full_like(IMAGES, 0.5)  # shows more
    assert (PENALTIES["visibility"](change, plain) > 1.5 * expected).all()


def test_masked_images_count_for_nothing_and_all_views_do():
    change = jnp.stack([IMAGES, 2 * IMAGES])
    penalties = Penalties({"l2": 2.0, "tv": 0.5}, lambda parts, images, **given: (change, images))
    batch = Batch(IMAGES, jnp.zeros(3, jnp.int32), jnp.array([True, True, False]))
    found = penalties.of({}, batch)
    np.testing.assert_allclose(found["l2"], 2.5 * jnp.square(IMAGES[:2]).mean(), rtol=1e-5)
    np.testing.assert_allclose(penalties.total(found), 2 * found["l2"] + 0.5 * found["tv"])
    assert all(float(PENALTIES[name](0 * change, IMAGES).max()) == 0 for name in PENALTIES)
