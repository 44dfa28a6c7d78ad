"""CLIP computed by scenic's own Flax modules, where google-research/scenic is installed.

Scenic is optional, and is imported only when it is asked for. Weights, tokenizer and preprocessing
are this library's. Scenic masks token id 0 in texts, which this library does not: texts with a
`!` inside a word, which is id 0, differ.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import types
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jax.typing import DTypeLike

from vp_jax.backbones.base import Backbone
from vp_jax.backbones.clip.scenic_weights import table
from vp_jax.backbones.clip.sizes import ClipSize
from vp_jax.backbones.layers.inputs import check_images
from vp_jax.backbones.layers.run import run
from vp_jax.backbones.weights.table import AS_IT_IS, Tree, convert, to_state_dict
from vp_jax.errors import UserError

MODULE = "scenic.projects.baselines.clip.layers"
BATCH_NORM_EPSILON = 1e-5  # flax's default, which scenic takes
INSTALL = (
    "install google-research's from its repository (pip install "
    "git+https://github.com/google-research/scenic, or a checkout on PYTHONPATH), and not the "
    "registry's package scenic, which is a different project"
)


def layers() -> types.ModuleType:
    """Scenic's module of CLIP.

    Raises:
      UserError: it cannot be imported; the message says why, and how to install it.
    """
    try:
        return importlib.import_module(MODULE)
    except Exception as error:  # of scenic, of the other project, or of what they import
        found = importlib.util.find_spec("scenic")
        if found is None:
            what = "scenic is not installed"
        elif str(getattr(error, "name", "")).startswith("scenic"):
            where = ", ".join(found.submodule_search_locations or [str(found.origin)])
            what = f"the scenic in {where} is not google-research's, or not all of it: {error}"
        else:
            what = f"scenic is there, but importing {MODULE} fails ({error})"
        raise UserError(f'source="scenic": {what}; {INSTALL}.') from error


def towers(size: ClipSize) -> tuple[nn.Module, nn.Module]:
    """Scenic's modules of the two towers; the first returns features and the map before them.

    Raises:
      UserError: scenic cannot be imported.
    """
    module = layers()
    if size.vit is None:
        visual = module.ModifiedResNet(
            features=size.vision_width,
            out_features=size.embed_dim,
            num_layers=size.stages,
            num_heads=size.vision_heads,
        )
    else:
        blocks, patch_size = size.vit
        visual = module.VisionTransformer(
            patch_size=patch_size,
            features=size.vision_width,
            num_layers=blocks,
            num_heads=size.vision_heads,
            out_features=size.embed_dim,
        )
    text = module.TextEncoder(
        vocab_size=size.vocab_size,
        features=size.text_width,
        num_layers=size.text_layers,
        num_heads=size.text_heads,
        out_features=size.embed_dim,
    )
    return visual, text


def backbone(ours: Backbone, size: ClipSize, dtype: DTypeLike | None = None) -> Backbone:
    """The same CLIP, computed by scenic's modules.

    Args:
      ours: a CLIP of this library.
      size: of it.
      dtype: of the computation; None is float32.

    Returns:
      The backbone: like `ours`, also in its fingerprint, since the weights are the same, but with
      `params` in scenic's tree. A ResNet's BatchNorms have the statistics of the identity.

    Raises:
      UserError: scenic cannot be imported, or its modules have other parameters than expected.
    """
    visual, text = towers(size)
    shapes, statistics = flat_shapes(visual, text, size)
    flat = to_state_dict(ours.params, table(size))
    for path, leaf in shapes.items():
        if path.endswith("/scale") and path not in flat:  # of a BatchNorm
            flat[path] = np.ones(leaf.shape, leaf.dtype)
    file = f"The parameter tree of {ours.name}"
    target = traverse_util.unflatten_dict(shapes, sep="/")
    params = convert(flat, AS_IT_IS, target, file=file, model=f"scenic's {ours.name}")

    def cast(tree: Any) -> Any:
        return tree if dtype is None else jax.tree.map(lambda x: x.astype(dtype), tree)

    def apply(params: Tree, images: jax.Array) -> jax.Array:
        check_images(images, size.image_size)
        variables = {"params": cast(params["visual"]), **_identity(statistics)}
        return visual.apply(variables, cast(images))[0].astype(jnp.float32)

    def encode_text(params: Tree, tokens: jax.Array) -> jax.Array:
        return run(text, cast(params["text"]), tokens)

    return dataclasses.replace(
        ours, params=jax.tree.map(jnp.asarray, params), apply=apply, encode_text=encode_text
    )


def flat_shapes(
    visual: nn.Module, text: nn.Module, size: ClipSize
) -> tuple[dict[str, jax.ShapeDtypeStruct], Tree]:
    """The shapes of scenic's parameters by path, and a tree of those of its running statistics."""
    key = jax.random.key(0)
    images = jax.ShapeDtypeStruct((1, size.image_size, size.image_size, 3), jnp.float32)
    tokens = jax.ShapeDtypeStruct((1, size.context_length), jnp.int32)
    image_side = dict(jax.eval_shape(visual.init, key, images))
    params = {
        "visual": image_side.pop("params"),
        "text": jax.eval_shape(text.init, key, tokens)["params"],
        "logit_scale": jax.ShapeDtypeStruct((), jnp.float32),
    }
    return traverse_util.flatten_dict(params, sep="/"), image_side


def _identity(statistics: Tree) -> Tree:
    """Means and variances with which a BatchNorm of scale 1 only adds its bias."""

    def value(path: jax.tree_util.KeyPath[Any], leaf: jax.ShapeDtypeStruct) -> jax.Array:
        is_mean = path[-1].key == "mean"
        return jnp.full(leaf.shape, 0.0 if is_mean else 1.0 - BATCH_NORM_EPSILON, leaf.dtype)

    return jax.tree_util.tree_map_with_path(value, statistics)
