"""A linear backbone with a prompt on it, small enough for tests of the step and of checkpoints."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vp_jax import prompts
from vp_jax.step import step as step_lib

CLASSES = 3
PROMPT = prompts.pad(1)


def forward(parts, images, *, rng=None, **_):
    x = images.astype(jnp.float32) / 255
    if "prompt" in parts:
        x = PROMPT.apply(parts["prompt"], x, rng=rng)
    return jnp.tanh(x.reshape(len(x), -1) @ parts["backbone"]) @ parts["head"]


def frozen():
    one, two = jax.random.split(jax.random.key(1))
    return {
        "backbone": jax.random.normal(one, (4 * 4 * 3, 8)) / 4,
        "head": jax.random.normal(two, (8, CLASSES)),
    }


def state(optimizer=None, seed=0):
    tuned = {"prompt": PROMPT.init(jax.random.key(seed), (4, 4, 3))}
    return step_lib.init_state(tuned, optimizer or optax.sgd(0.1, 0.9), jax.random.key(2))


def batch(size=16, seed=0, masked=0):
    rng = np.random.default_rng(seed)
    return step_lib.Batch(
        rng.integers(0, 256, (size, 4, 4, 3), np.uint8),
        rng.integers(0, CLASSES, size).astype(np.int32),
        np.arange(size) < size - masked,
    )
