"""Weights for benchmarks, which depend on shapes only: parameters, or the files of a model."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from tokenizers import pre_tokenizers

from vp_jax import backbones
from vp_jax.backbones.clip.export import write_openai
from vp_jax.backbones.clip.sizes import SIZES
from vp_jax.backbones.clip.tokenizer import END, START, WORD_END


def random_params(model: str) -> Mapping[str, Any]:
    """Normal numbers times 0.02, around 1 for scales: drawn by NumPy, with nothing to compile."""
    rng = np.random.default_rng(1)
    middle = {"scale": 1.0, "logit_scale": np.log(1 / 0.07)}

    def draw(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        noise = rng.standard_normal(leaf.shape, np.float32)
        return np.asarray(middle.get(path[-1].key, 0.0) + 0.02 * noise, np.float32)

    shapes = jax.eval_shape(lambda: backbones.init_params(model, jax.random.key(0)))
    return jax.tree_util.tree_map_with_path(draw, shapes)


def write_model(folder: pathlib.Path, model: str) -> None:
    """Writes random weights, and a tokenizer that knows single bytes only."""
    folder.mkdir()
    file = folder / "open_clip_model.safetensors"
    write_openai(file, model, jax.device_get(random_params(model)), np.float32)
    symbols = pre_tokenizers.ByteLevel.alphabet()
    vocabulary = [*symbols, *(symbol + WORD_END for symbol in symbols)]
    ids = {token: number for number, token in enumerate(vocabulary)}
    last = SIZES[model].vocab_size - 1
    (folder / "vocab.json").write_text(json.dumps(ids | {START: last - 1, END: last}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
