"""The parameter tree of a CLIP: `{"visual": ..., "text": ..., "logit_scale": scalar}`, float32."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax.backbones import clip_hf, clip_openai, weight_table
from vp_jax.backbones.clip_sizes import SIZES, ClipSize
from vp_jax.backbones.weight_table import Tree, convert
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


def layout(names: Mapping[str, np.ndarray], file: str) -> str:
    """`"openai"` or `"hf"`, by the names of the tensors.

    Raises:
      UserError: it is neither.
    """
    for prefix, found in (("visual.", "openai"), ("vision_model.", "hf")):
        if any(name.startswith(prefix) for name in names):
            return found
    some = ", ".join(sorted(names)[:5]) or "no tensors at all"
    raise UserError(
        f"{file} is in no known CLIP layout: it begins with {some}. Known are OpenAI's names, as "
        "in open_clip_model.safetensors (visual.conv1.weight), and Hugging Face CLIPModel's "
        "(vision_model.embeddings.patch_embedding.weight). A timm file, model.safetensors beside "
        "open_clip_model.safetensors, holds the image tower only: take the other one."
    )


def from_tensors(
    tensors: Mapping[str, np.ndarray],
    size: ClipSize,
    *,
    file: str,
    model: str,
    dtype: np.dtype = np.float32,
) -> Tree:
    """Makes the parameter tree out of the tensors of a file in either layout.

    Args:
      tensors: name -> floating-point array.
      size: of the model.
      file: of the tensors, for messages.
      model: its name, for messages.
      dtype: of the result; float64 is for measuring.

    Returns:
      The tree, of numpy arrays.

    Raises:
      UserError: the layout is not known, or tensors are missing, unexpected, wrongly shaped or
        not finite: all of them listed.
    """
    found = layout(tensors, file)
    if found == "hf" and size.patch_size is None:
        raise UserError(
            f"{file} is in the Hugging Face layout, which has no ResNet, so it cannot be {model}. "
            + _hint(found, model, tensors)
        )
    hint = functools.partial(_hint, found, model)
    return convert(
        tensors, TABLES[found], shapes(size), file=file, model=model, dtype=dtype, hint=hint
    )


def _hint(found: str, model: str, tensors: Mapping[str, np.ndarray]) -> str:
    """Which other released size the tensors look like, as a sentence; empty if none."""
    for name, size in SIZES.items():
        signature = _SIGNATURES[found](size)
        fits = all(n in tensors and tensors[n].shape == s for n, s in signature.items())
        if signature and fits and name != model:
            return f"The file looks like {name}: is that the backbone you want?"
    return ""


def from_tree(params: Tree, size: ClipSize, *, model: str) -> Tree:
    """The same tree as float32 numpy arrays.

    Raises:
      UserError: it has not the paths and shapes of this size of CLIP, or values are not finite.
    """
    return weight_table.from_tree(params, shapes(size), model=model)


def logit_scale(params: Tree) -> float:
    """The number that multiplies cosine similarities: exp of the stored logarithm."""
    return math.exp(float(params["logit_scale"]))
