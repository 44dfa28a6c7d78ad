"""Makes a `Backbone` out of a name and a weight file, or out of parameters."""

from __future__ import annotations

import functools
import os

import jax
import jax.numpy as jnp

from vp_jax import errors
from vp_jax.backbones import classifier, classifier_config, clip_loading, clip_params, weight_files
from vp_jax.backbones import remat as remat_lib
from vp_jax.backbones.base import Backbone
from vp_jax.backbones.classifiers import CLASSIFIERS, hint
from vp_jax.backbones.clip_loading import TokenizerFn
from vp_jax.backbones.clip_sizes import SIZES, ClipSize
from vp_jax.backbones.weight_table import Tree

SOURCES = ("vp_jax", "scenic")
REMATS = remat_lib.CHOICES


def names() -> tuple[str, ...]:
    """The names that `load` takes."""
    return (*SIZES, *CLASSIFIERS)


def is_clip(name: str) -> bool:
    """Whether the name is of a CLIP, with a text tower and no classes of its own."""
    return name in SIZES


def load(
    name: str,
    weights: str | os.PathLike[str] | None = None,
    *,
    dtype: jnp.dtype | None = None,
    remat: str = "none",
    size: ClipSize | None = None,
    source: str = "vp_jax",
) -> Backbone:
    """Loads a pretrained model.

    Args:
      name: one of `names()`.
      weights: a file (`.safetensors`, `.npz` of Google's releases, or `.pt` where torch is
        installed), a folder with one, or `owner/name` on the Hugging Face Hub. By default the
        released weights from the Hub, or those in this package for `clip_tiny`.
      dtype: of the computation with images, such as `jnp.bfloat16`; parameters, texts, softmax,
        normalisation and features stay float32.
      remat: which activations are computed again for gradients instead of kept, one of `REMATS`:
        `"none"`, `"elementwise"` (all but products with weights), `"blocks"` (all within a block).
      size: a CLIP architecture of your own; `name` is then free.
      source: of the Linen modules: one of `SOURCES`. `"scenic"` computes a CLIP by
        google-research/scenic's modules, where that is installed.

    Returns:
      The model, with its parameters on the default device.

    Raises:
      UserError: the name is unknown, the file is not there, is broken or does not fit the model.
    """
    _check(name, size, remat)
    if source not in SOURCES:
        raise errors.unknown("source of backbones", source, SOURCES)
    if source == "scenic":
        return _load_scenic(name, weights, dtype, remat, size)
    if name in CLASSIFIERS and size is None:
        model = CLASSIFIERS[name]
        path = weight_files.find(weights or model.hub or _no_weights(name), tokenizer=False)
        classifier_config.check(path.parent, model, name)
        tensors = weight_files.read(path)
        params = classifier.from_tensors(
            tensors, model, file=str(path), name=name, hint=functools.partial(hint, name)
        )
        return classifier.backbone(name, model, params, dtype, remat)
    return clip_loading.load(name, weights, dtype=dtype, remat=remat, size=size or SIZES[name])


def _load_scenic(
    name: str,
    weights: str | os.PathLike[str] | None,
    dtype: jnp.dtype | None,
    remat: str,
    size: ClipSize | None,
) -> Backbone:
    if remat != "none":
        raise errors.UserError(
            f'remat={remat!r} is not for scenic\'s modules: give source="vp_jax", or remat="none"'
        )
    if name in CLASSIFIERS and size is None:
        raise errors.UserError(
            f'source="scenic" has the CLIPs only, not {name}: scenic\'s own classifiers cannot be '
            "imported with jax and flax alone (its ViT needs TensorFlow, its BiT clu); load "
            f'{name} with source="vp_jax".'
        )
    from vp_jax.backbones import scenic_clip

    scenic_clip.layers()  # before anything is fetched
    size = size or SIZES[name]
    ours = clip_loading.load(name, weights, dtype=dtype, remat=remat, size=size)
    return scenic_clip.backbone(ours, size, dtype)


def from_params(
    name: str,
    params: Tree,
    tokenizer: TokenizerFn | None = None,
    *,
    dtype: jnp.dtype | None = None,
    remat: str = "none",
    size: ClipSize | None = None,
) -> Backbone:
    """Makes a backbone of parameters that are there already: trained or random ones.

    Args:
      name: one of `names()`.
      params: as `init_params` returns them; cast to float32.
      tokenizer: as in `Backbone`, for a CLIP.
      dtype, remat: as in `load`.
      size: a CLIP architecture of your own; `name` is then free.

    Raises:
      UserError: the name is unknown, or the parameters do not fit it.
    """
    _check(name, size, remat)
    if name in CLASSIFIERS and size is None:
        model = CLASSIFIERS[name]
        params = classifier.from_tree(params, model, name=name)
        return classifier.backbone(name, model, params, dtype, remat)
    size = size or SIZES[name]
    return clip_loading.from_params(name, params, tokenizer, dtype=dtype, remat=remat, size=size)


def init_params(name: str, key: jax.Array) -> Tree:
    """Random parameters of a model, float32, for training from scratch, tests and benchmarks.

    Raises:
      UserError: the name is unknown.
    """
    _check(name)
    if name in CLASSIFIERS:
        return classifier.init(CLASSIFIERS[name], key)
    return clip_params.init(SIZES[name], key)


def _check(name: str, size: ClipSize | None = None, remat: str = "none") -> None:
    if remat not in REMATS:
        raise errors.unknown("value of remat", remat, REMATS)
    if size is None and name not in names():
        raise errors.unknown("backbone", name, names())


def _no_weights(name: str) -> str:
    raise errors.UserError(
        f"{name} has no weights by default. Name a file or folder with "
        '--config.backbone.weights=PATH, in Python weights="PATH".'
    )
