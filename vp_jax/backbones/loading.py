"""Makes a `Backbone` out of a name and a weight file, or out of parameters."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax import errors
from vp_jax.backbones import clip_config, clip_params, hub, weight_files
from vp_jax.backbones.base import Backbone
from vp_jax.backbones.clip_sizes import MEAN, SIZES, STD, ClipSize
from vp_jax.backbones.weight_table import Tree

PACKAGED = pathlib.Path(__file__).parent  # with the folder clip_tiny_weights

TokenizerFn = Callable[[Sequence[str]], np.ndarray]


def names() -> tuple[str, ...]:
    """The names that `load` takes."""
    return tuple(SIZES)


def load(
    name: str,
    weights: str | os.PathLike[str] | None = None,
    *,
    dtype: jnp.dtype | None = None,
    size: ClipSize | None = None,
) -> Backbone:
    """Loads a pretrained model.

    Args:
      name: one of `names()`.
      weights: a file (`.safetensors`, or `.pt` where torch is installed), a folder with one, or
        `owner/name` on the Hugging Face Hub. By default the released weights from the Hub, or
        those in this package for `clip_tiny`.
      dtype: of the computation, such as `jnp.bfloat16`; parameters and features stay float32.
      size: an architecture of your own; `name` is then free.

    Returns:
      The model, with its parameters on the default device.

    Raises:
      UserError: the name is unknown, the file is not there, is broken or does not fit the model.
    """
    size = size or _size(name)
    weights = weights or _default_weights(name, size)
    path = weight_files.find(weights)
    tensors = weight_files.read(path)
    if weights not in _RELEASED:
        layout = clip_params.layout(tensors, str(path))
        clip_config.check(path.parent, layout, size, name)
    params = clip_params.from_tensors(tensors, size, file=str(path), model=name)
    return _backbone(name, size, params, _tokenizer(path.parent, size, name), dtype)


def from_params(
    name: str,
    params: Tree,
    tokenizer: TokenizerFn | None = None,
    *,
    dtype: jnp.dtype | None = None,
    size: ClipSize | None = None,
) -> Backbone:
    """Makes a backbone of parameters that are there already: trained or random ones.

    Args:
      name: one of `names()`.
      params: as `init_params` returns them; cast to float32.
      tokenizer: as in `Backbone`.
      dtype: of the computation, as in `load`.
      size: an architecture of your own; `name` is then free.

    Raises:
      UserError: the name is unknown, or the parameters do not fit it.
    """
    size = size or _size(name)
    params = clip_params.from_tree(params, size, model=name)
    return _backbone(name, size, params, tokenizer or _no_tokenizer(name, None), dtype)


def init_params(name: str, key: jax.Array) -> Tree:
    """Random parameters of a model, float32, for training from scratch, tests and benchmarks.

    Raises:
      UserError: the name is unknown.
    """
    return clip_params.init(_size(name), key)


_RELEASED = frozenset(size.hub for size in SIZES.values() if size.hub)  # OpenAI's, known to fit


def _size(name: str) -> ClipSize:
    if name not in SIZES:
        raise errors.unknown("backbone", name, names())
    return SIZES[name]


def _default_weights(name: str, size: ClipSize) -> str | pathlib.Path:
    if size.hub:
        return size.hub
    packaged = PACKAGED / f"{name}_weights"
    if not packaged.is_dir():
        raise errors.UserError(
            f"{name} has no weights by default: there is no {packaged}. Name a file or folder with "
            '--config.backbone.weights=PATH, in Python weights="PATH".'
        )
    return packaged


def _tokenizer(folder: pathlib.Path, size: ClipSize, name: str) -> TokenizerFn:
    if not hub.has_tokenizer(path.name for path in folder.iterdir()):
        return _no_tokenizer(name, folder)
    from vp_jax.backbones.tokenizer import Tokenizer

    tokenizer = Tokenizer.from_files(folder, size.context_length)
    if tokenizer.vocab_size != size.vocab_size:
        raise errors.UserError(
            f"The tokenizer in {folder} has {tokenizer.vocab_size} ids, {name} has "
            f"{size.vocab_size}: its files belong to another model."
        )
    return tokenizer


def _no_tokenizer(name: str, folder: pathlib.Path | None) -> TokenizerFn:
    where = (
        f"Put tokenizer.json, or vocab.json and merges.txt, into {folder}"
        if folder
        else "Give from_params a tokenizer"
    )

    def raise_error(texts: Sequence[str]) -> np.ndarray:
        del texts
        raise errors.UserError(f"This {name} came without a tokenizer. {where}.")

    return raise_error


def _backbone(
    name: str, size: ClipSize, params: Tree, tokenizer: TokenizerFn, dtype: jnp.dtype | None
) -> Backbone:
    image_tower, text_tower = size.image_tower(dtype), size.text_tower(dtype)

    def apply(params: Tree, images: jax.Array) -> jax.Array:
        return image_tower.apply({"params": params["visual"]}, images).astype(jnp.float32)

    def encode_text(params: Tree, tokens: jax.Array) -> jax.Array:
        return text_tower.apply({"params": params["text"]}, tokens).astype(jnp.float32)

    return Backbone(
        name=name,
        params=jax.tree.map(jnp.asarray, params),
        apply=apply,
        encode_text=encode_text,
        tokenizer=tokenizer,
        embed_dim=size.embed_dim,
        image_size=size.image_size,
        mean=MEAN,
        std=STD,
        resize_size=size.image_size,
        resize_method="bicubic",
        logit_scale=clip_params.logit_scale(params),
        fingerprint=clip_params.fingerprint(name, params),
    )
