"""The parameter tree of a CLIP: `{"visual": ..., "text": ..., "logit_scale": scalar}`, float32."""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from vp_jax.backbones.clip import hf as clip_hf
from vp_jax.backbones.clip import openai as clip_openai
from vp_jax.backbones.clip.sizes import SIZES, ClipSize
from vp_jax.backbones.weights import table as weight_table
from vp_jax.backbones.weights.table import (
    Hint,
    Shape,
    Tree,
    convert,
    looks_like,
    needed_shapes,
    no_hint,
)
from vp_jax.errors import UserError

TABLES = {"openai": clip_openai.OPENAI, "hf": clip_hf.HF}
_SIGNATURES = {"openai": clip_openai.signature, "hf": clip_hf.signature}


def init(size: ClipSize, key: jax.Array) -> Tree:
    """Random parameters: each tower as its module initialises it, `logit_scale` log(1 / 0.07)."""
    visual, text = jax.random.split(key)
    images = jnp.zeros((1, size.image_size, size.image_size, 3))
    tokens = jnp.zeros((1, size.context_length), jnp.int32)
    return {
        "visual": size.image_tower().init(visual, images)["params"],
        "text": size.text_tower().init(text, tokens)["params"],
        "logit_scale": jnp.log(1 / 0.07),
    }


def shapes(size: ClipSize) -> Tree:
    """The parameter tree with a `jax.ShapeDtypeStruct` for every array."""
    return weight_table.shapes(init, size)


def layouts(size: ClipSize) -> list[dict[str, Shape]]:
    """The shapes of the model's tensors by name, in each layout that has them."""
    tables = [clip_openai.OPENAI] if size.patch_size is None else TABLES.values()
    return [needed_shapes(table, shapes(size)) for table in tables]


def signatures(size: ClipSize) -> list[dict[str, Shape]]:
    """The few tensors, with their shapes, that tell this size from the others, in each layout."""
    return [signature(size) for signature in _SIGNATURES.values()]


def would_load(tensors: Mapping[str, np.ndarray], size: ClipSize) -> bool:
    """Whether a file holds this size of CLIP: every tensor, in its shape, finite."""
    found = _layout(tensors)
    if found is None:
        return False
    signature = _SIGNATURES[found](size)  # which is quick to compare
    fits = all(n in tensors and tensors[n].shape == s for n, s in signature.items())
    if not signature or not fits:
        return False
    try:
        convert(tensors, TABLES[found], shapes(size), file="", model="")
    except UserError:
        return False
    return True


def _layout(names: Mapping[str, np.ndarray]) -> str | None:
    for prefix, found in (("visual.", "openai"), ("vision_model.", "hf")):
        if any(name.startswith(prefix) for name in names):
            return found
    return None


def layout(names: Mapping[str, np.ndarray], file: str, hint: Hint = no_hint) -> str:
    """`"openai"` or `"hf"`, by the names of the tensors.

    Raises:
      UserError: it is neither.
    """
    found = _layout(names)
    if found is not None:
        return found
    last = hint(names)
    some = ", ".join(sorted(names)[:5]) or "no tensors at all"
    raise UserError(
        f"{file} is in no known CLIP layout: it begins with {some}. Known are OpenAI's names, as "
        "in open_clip_model.safetensors (visual.conv1.weight), and Hugging Face CLIPModel's "
        "(vision_model.embeddings.patch_embedding.weight). A timm file, model.safetensors beside "
        "open_clip_model.safetensors, holds the image tower only: take the other one."
        f"{' ' + last if last else ''}"
    )


def from_tensors(
    tensors: Mapping[str, np.ndarray],
    size: ClipSize,
    *,
    file: str,
    model: str,
    dtype: DTypeLike = np.float32,
    hint: Hint | None = None,
) -> Tree:
    """Makes the parameter tree out of the tensors of a file in either layout.

    Args:
      tensors: name -> floating-point array.
      size: of the model.
      file: of the tensors, for messages.
      model: its name, for messages.
      dtype: of the result; float64 is for measuring.
      hint: of tensors that do not fit, see `weight_table.convert`; by default it names the size
        of CLIP that they are of.

    Returns:
      The tree, of numpy arrays.

    Raises:
      UserError: the layout is not known, or tensors are missing, unexpected, wrongly shaped or
        not finite: all of them listed.
    """
    hint = hint or _hint
    found = layout(tensors, file, hint)
    if found == "hf" and size.patch_size is None:
        last = hint(tensors)
        raise UserError(
            f"{file} is in the Hugging Face layout, which has no ResNet, so it cannot be {model}. "
            f"{last}".rstrip()
        )
    return convert(
        tensors, TABLES[found], shapes(size), file=file, model=model, dtype=dtype, hint=hint
    )


def _hint(tensors: Mapping[str, np.ndarray]) -> str:
    return looks_like([name for name, size in SIZES.items() if would_load(tensors, size)])


def from_tree(params: Tree, size: ClipSize, *, model: str) -> Tree:
    """The same tree as float32 numpy arrays.

    Raises:
      UserError: it has not the paths and shapes of this size of CLIP, or values are not finite.
    """
    return weight_table.from_tree(params, shapes(size), model=model)


def logit_scale(params: Tree) -> float:
    """The number that multiplies cosine similarities: exp of the stored logarithm."""
    return math.exp(float(params["logit_scale"]))
