"""A small classifier of one's own with twelve source classes, and short runs with it on digits."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vp_jax import backbones, config

SIZE, WIDTH, SOURCES = 8, 32, 12
NAMES = tuple(f"source {i}" for i in range(SOURCES))


def hidden(params, images):
    return jnp.tanh(images.reshape(images.shape[0], -1) @ params["first"])


def convolved(params, images):
    """Likewise with a convolution in the place of the first product."""
    kernel = params["first"].reshape(SIZE, SIZE, 3, WIDTH)[:3, :3]
    maps = jax.lax.conv_general_dilated(
        images, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jnp.tanh(maps).mean(axis=(1, 2))


def classify(params, features):
    return features @ params["second"]


def make(zero_head=False, sources=SOURCES, seed=0, function=hidden):
    """Random weights; features of 32 numbers, of `function`, and logits of `sources` classes."""
    one, two = jax.random.split(jax.random.key(seed))
    second = jax.random.normal(two, (WIDTH, sources))
    params = {
        "first": jax.random.normal(one, (SIZE * SIZE * 3, WIDTH)) / 8,
        "second": second * (0 if zero_head else 1),
    }
    return backbones.from_fn(
        function,
        params,
        classify=classify,
        image_size=SIZE,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        name="own",
        source_classes=NAMES[:sources],
    )


def quick(**changes):
    """Two epochs on the digits."""
    settings = config.default()
    settings.update_from_flattened_dict(
        {
            "task.name": "digits",
            "head.name": "first_k",
            "prompt": "normalize | pad(2)",
            "batch_size": 64,
            "epochs": 2,
            "optimizer.learning_rate": 1.0,
            "schedule.warmup_steps": 5,
            **changes,
        }
    )
    return settings
