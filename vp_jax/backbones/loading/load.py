"""Makes a `Backbone` out of a name and a weight file, or out of parameters."""

from __future__ import annotations

import os
from collections.abc import Sequence

import jax
from jax.typing import DTypeLike

from vp_jax import errors
from vp_jax.backbones import classifier
from vp_jax.backbones.base import Backbone
from vp_jax.backbones.classifier import Classifier
from vp_jax.backbones.clip import params as clip_params
from vp_jax.backbones.clip.sizes import SIZES, ClipSize
from vp_jax.backbones.layers import remat as remat_lib
from vp_jax.backbones.loading import classifier as classifier_loading
from vp_jax.backbones.loading import clip as clip_loading
from vp_jax.backbones.loading.classifiers import CLASSIFIERS
from vp_jax.backbones.loading.clip import TokenizerFn
from vp_jax.backbones.weights.table import Tree

SOURCES = ("vp_jax", "scenic")
REMATS = remat_lib.CHOICES


def names() -> tuple[str, ...]:
    """The names that `load` takes."""
    return (*SIZES, *CLASSIFIERS)


def is_clip(name: str) -> bool:
    """Whether the name is of a CLIP, with a text tower and no classes of its own."""
    return name in SIZES


def repository(name: str) -> str | None:
    """Where the weights of a name are by default on the Hugging Face Hub; None: nowhere there."""
    known: dict[str, ClipSize | Classifier] = {**CLASSIFIERS, **SIZES}
    return known[name].hub if name in known else None


def load(
    name: str,
    weights: str | os.PathLike[str] | None = None,
    *,
    dtype: DTypeLike | None = None,
    remat: str = "none",
    size: ClipSize | None = None,
    source: str = "vp_jax",
    source_classes: Sequence[str] = (),
) -> Backbone:
    """Loads a pretrained model.

    Weights of a classifier whose last layer is missing, or was trained for other classes than the
    model's, give a backbone of features only, without source classes.

    Args:
      name: one of `names()`.
      weights: a file (`.safetensors`, `.npz` of Google's releases, or torch's where torch is
        installed: `.pt`, `.pth`, `.pth.tar`, `.th`, `.ckpt`, `.bin`), a folder with one, or
        `owner/name` on the Hugging Face Hub. By default the released weights from the Hub, or
        those in this package for `clip_tiny`. What training programs put around the weights and
        before the names of their tensors is taken off, and a line on stderr says so.
      dtype: of the computation with images, such as `jnp.bfloat16`; parameters, texts, softmax,
        normalisation and features stay float32.
      remat: which activations are computed again for gradients instead of kept, one of `REMATS`:
        `"none"`, `"elementwise"` (all but products with weights), `"blocks"` (all within a block).
      size: a CLIP architecture of your own; `name` is then free.
      source: of the Linen modules: one of `SOURCES`. `"scenic"` computes a CLIP by
        google-research/scenic's modules, where that is installed.
      source_classes: names of a classifier's source classes, in order, where its weights were
        trained for others than the model's.

    Returns:
      The model, with its parameters on the default device.

    Raises:
      UserError: the name is unknown, the file is not there, is broken or does not fit the model.
    """
    _check(name, size, remat)
    if source not in SOURCES:
        raise errors.unknown("source of backbones", source, SOURCES)
    _check_classes(name, size, source_classes)
    if source == "scenic":
        return _load_scenic(name, weights, dtype, remat, size)
    if name in CLASSIFIERS and size is None:
        return classifier_loading.load(
            name, weights, dtype=dtype, remat=remat, classes=source_classes
        )
    return clip_loading.load(name, weights, dtype=dtype, remat=remat, size=size or SIZES[name])


def _load_scenic(
    name: str,
    weights: str | os.PathLike[str] | None,
    dtype: DTypeLike | None,
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
    from vp_jax.backbones.clip import scenic as scenic_clip

    scenic_clip.layers()  # before anything is fetched
    size = size or SIZES[name]
    ours = clip_loading.load(name, weights, dtype=dtype, remat=remat, size=size)
    return scenic_clip.backbone(ours, size, dtype)


def from_params(
    name: str,
    params: Tree,
    tokenizer: TokenizerFn | None = None,
    *,
    dtype: DTypeLike | None = None,
    remat: str = "none",
    size: ClipSize | None = None,
    source_classes: Sequence[str] = (),
) -> Backbone:
    """Makes a backbone of parameters that are there already: trained or random ones.

    Args:
      name: one of `names()`.
      params: as `init_params` returns them; cast to float32.
      tokenizer: as in `Backbone`, for a CLIP.
      dtype, remat: as in `load`.
      size: a CLIP architecture of your own; `name` is then free.
      source_classes: as in `load`; a classifier's parameters may also lack the last layer.

    Raises:
      UserError: the name is unknown, or the parameters do not fit it.
    """
    _check(name, size, remat)
    _check_classes(name, size, source_classes)
    if name in CLASSIFIERS and size is None:
        model = CLASSIFIERS[name]
        params = classifier.from_tree(params, model, name=name, classes=source_classes)
        return classifier.backbone(name, model, params, dtype, remat, source_classes)
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


def _check_classes(name: str, size: ClipSize | None, source_classes: Sequence[str]) -> None:
    if isinstance(source_classes, str):
        raise errors.UserError(
            f"source_classes is the text {source_classes!r}; give a sequence of names, one a class"
        )
    if len(source_classes) and (size is not None or is_clip(name)):
        raise errors.UserError(f"source_classes were given for {name}, a CLIP, which has none")
