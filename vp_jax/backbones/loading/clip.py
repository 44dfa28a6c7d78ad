"""Makes the `Backbone` of a CLIP out of a weight file, or out of parameters."""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.typing import DTypeLike

from vp_jax import distributed, errors
from vp_jax.backbones.base import Backbone
from vp_jax.backbones.clip import config as clip_config
from vp_jax.backbones.clip import params as clip_params
from vp_jax.backbones.clip.sizes import MEAN, SIZES, STD, ClipSize
from vp_jax.backbones.layers.run import attention_of, run
from vp_jax.backbones.layers.side_by_side import side_by_side
from vp_jax.backbones.loading import lookalikes
from vp_jax.backbones.weights import files as weight_files
from vp_jax.backbones.weights import hub
from vp_jax.backbones.weights import kinds as weight_kinds
from vp_jax.backbones.weights.fingerprint import place
from vp_jax.backbones.weights.table import Tree

PACKAGED = pathlib.Path(__file__).parents[1]  # with the folder clip_tiny_weights

TokenizerFn = Callable[[Sequence[str]], np.ndarray]


def load(
    name: str,
    weights: str | os.PathLike[str] | None,
    *,
    dtype: DTypeLike | None,
    remat: str,
    size: ClipSize,
) -> Backbone:
    """Loads a CLIP and the tokenizer beside its weights, see `loading.load`."""
    weights = weights or size.hub or packaged(name)
    path = weight_files.find(weights)
    tensors = weight_files.without_prefix(weight_files.read(path), clip_params.layouts(size), path)
    hint = functools.partial(lookalikes.hint, path, name)
    params = clip_params.from_tensors(tensors, size, file=str(path), model=name, hint=hint)
    if weights not in _RELEASED:
        layout = clip_params.layout(tensors, str(path))
        told = clip_config.check(path.parent, layout, size, name)
        if not told and size.hub and weight_kinds.kind(path) != "torchscript":
            distributed.say(
                f"{path.name}: no {clip_config.FILES[layout]} beside it says how it was trained: "
                "taken for quick-GELU, as OpenAI's; weights of GELU, as LAION's, would be wrong"
            )
    return _backbone(name, size, params, _tokenizer(path.parent, size, name), dtype, remat)


def from_params(
    name: str,
    params: Tree,
    tokenizer: TokenizerFn | None,
    *,
    dtype: DTypeLike | None,
    remat: str,
    size: ClipSize,
) -> Backbone:
    """Makes a CLIP of parameters that are there already, see `loading.from_params`."""
    params = clip_params.from_tree(params, size, model=name)
    return _backbone(name, size, params, tokenizer or _no_tokenizer(name, None), dtype, remat)


_RELEASED = frozenset(size.hub for size in SIZES.values() if size.hub)  # OpenAI's, known to fit


def packaged(name: str) -> pathlib.Path:
    """The folder of weights that travels with this package.

    Raises:
      UserError: there is none for that model.
    """
    folder = PACKAGED / f"{name}_weights"
    if not folder.is_dir():
        raise errors.UserError(
            f"{name} has no weights by default: there is no {folder}. Name a file or folder with "
            '--config.backbone.weights=PATH, in Python weights="PATH".'
        )
    return folder


def _tokenizer(folder: pathlib.Path, size: ClipSize, name: str) -> TokenizerFn:
    if not hub.has_tokenizer(path.name for path in folder.iterdir()):
        return _no_tokenizer(name, folder)
    from vp_jax.backbones.clip.tokenizer import Tokenizer

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
    name: str,
    size: ClipSize,
    params: Tree,
    tokenizer: TokenizerFn,
    dtype: DTypeLike | None,
    remat: str,
) -> Backbone:
    image_tower = size.image_tower(dtype).clone(remat=remat)
    text_tower = size.text_tower()  # Once a run: float32 costs nothing there.
    placed, its_fingerprint = place(name, params)

    def on_batch(params: Tree, images: jax.Array) -> jax.Array:
        return run(image_tower, params["visual"], images)

    def attention(params: Tree, images: jax.Array) -> list[jax.Array]:
        return attention_of(image_tower, params["visual"], images)

    # The ViTs gain nothing from parts of a batch, and small ones lose a tenth of their speed.
    apply = side_by_side(on_batch) if size.patch_size is None else on_batch

    @jax.jit
    def encode_text(params: Tree, tokens: jax.Array) -> jax.Array:
        return run(text_tower, params["text"], tokens)

    return Backbone(
        name=name,
        params=placed,
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
        fingerprint=its_fingerprint,
        attention=attention if size.patch_size is not None else None,
    )
