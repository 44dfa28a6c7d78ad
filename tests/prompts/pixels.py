"""Images for the tests of stages that act on pixels alone, and parameters to try them with."""

import jax
import numpy as np

KEY = jax.random.key(5)
SHAPE = (12, 10, 3)
IMAGES = np.random.default_rng(0).uniform(size=(2, *SHAPE)).astype(np.float32)


def begun(stage, shape=SHAPE):
    return stage.init(KEY, shape)


def moved(params, seed=1):
    """Parameters away from where they begin."""
    numbers = np.random.default_rng(seed)
    return jax.tree.map(lambda x: np.float32(x + 0.3 * numbers.normal(size=x.shape)), params)
