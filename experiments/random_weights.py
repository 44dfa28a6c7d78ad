"""Weights for benchmarks, which depend on shapes only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from vp_jax import backbones


def random_params(model: str) -> Mapping[str, Any]:
    """Normal numbers times 0.02, around 1 for scales: drawn by NumPy, with nothing to compile."""
    rng = np.random.default_rng(1)
    middle = {"scale": 1.0, "logit_scale": np.log(1 / 0.07)}

    def draw(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        noise = rng.standard_normal(leaf.shape, np.float32)
        return np.asarray(middle.get(path[-1].key, 0.0) + 0.02 * noise, np.float32)

    shapes = jax.eval_shape(lambda: backbones.init_params(model, jax.random.key(0)))
    return jax.tree_util.tree_map_with_path(draw, shapes)
