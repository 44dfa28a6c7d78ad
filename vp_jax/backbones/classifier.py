"""What tells one pretrained classifier from another, apart from its weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vp_jax.backbones import weight_table
from vp_jax.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone
from vp_jax.backbones.fingerprint import place
from vp_jax.backbones.source_classes import source_classes
from vp_jax.backbones.weight_table import Table, Tree, convert, needed_shapes
from vp_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A trunk that makes features and one linear layer that classifies them.

    Attributes:
      trunk: makes the Linen module that maps normalised images `[B, S, S, 3]` to features
        `[B, embed_dim]`; its argument is the computation dtype.
      embed_dim: length of the features.
      classes: the set of source classes, a name that `source_classes` knows.
      tables: the file layouts it is read from.
      image_size, resize_size, resize_method, mean, std: as in `Backbone`.
      hub: the repository on the Hugging Face Hub that holds the weights by default.
    """

    trunk: Callable[[jnp.dtype | None], nn.Module]
    embed_dim: int
    classes: str
    tables: tuple[Table, ...]
    image_size: int = 224
    resize_size: int = 256
    resize_method: str = "bilinear"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    hub: str | None = None


def classify(params: Tree, features: jax.Array) -> jax.Array:
    """Source logits `[B, K_src]`, float32, of features `[B, D]`."""
    layer = params["classifier"]
    return features.astype(jnp.float32) @ layer["kernel"] + layer["bias"]


def init(model: Classifier, key: jax.Array) -> Tree:
    """Random parameters, float32: `{"visual": trunk, "classifier": {"kernel", "bias"}}`."""
    trunk_key, layer_key = jax.random.split(key)
    images = jnp.zeros((1, model.image_size, model.image_size, 3))
    count = len(source_classes(model.classes))
    return {
        "visual": model.trunk(None).init(trunk_key, images)["params"],
        "classifier": {
            "kernel": nn.initializers.lecun_normal()(layer_key, (model.embed_dim, count)),
            "bias": jnp.zeros((count,)),
        },
    }


def shapes(model: Classifier) -> Tree:
    """The parameter tree with a `jax.ShapeDtypeStruct` for every array."""
    return weight_table.shapes(init, model)


def layout(
    tensors: Mapping[str, np.ndarray],
    model: Classifier,
    *,
    file: str,
    name: str,
    hint: Callable[[Mapping[str, np.ndarray]], str] = lambda tensors: "",
) -> Table:
    """The table that most of the tensors' names belong to.

    Raises:
      UserError: they belong to none.
    """
    target = shapes(model)
    found = {table: len(needed_shapes(table, target).keys() & tensors) for table in model.tables}
    best = max(found, key=found.__getitem__)
    if not found[best]:
        some = ", ".join(sorted(tensors)[:5]) or "no tensors at all"
        known = ", ".join(
            f"{table.name} ({next(iter(needed_shapes(table, target)))})" for table in model.tables
        )
        raise UserError(
            f"{file} is in no layout known for {name}: it begins with {some}. Known are the names "
            f"of {known}. {hint(tensors)}".rstrip()
        )
    return best


def from_tensors(
    tensors: Mapping[str, np.ndarray],
    model: Classifier,
    *,
    file: str,
    name: str,
    dtype: np.dtype = np.float32,
    hint: Callable[[Mapping[str, np.ndarray]], str] = lambda tensors: "",
) -> Tree:
    """Makes the parameter tree out of the tensors of a file in any known layout.

    Args:
      tensors: name -> floating-point array.
      model: that they are for.
      file: of the tensors, for messages.
      name: of the model, for messages.
      dtype: of the result; float64 is for measuring.
      hint: called with the tensors when they do not fit, for a last sentence of the message.

    Raises:
      UserError: the layout is not known, or tensors are missing, unexpected, wrongly shaped or
        not finite: all of them listed.
    """
    table = layout(tensors, model, file=file, name=name, hint=hint)
    return convert(tensors, table, shapes(model), file=file, model=name, dtype=dtype, hint=hint)


def from_tree(params: Tree, model: Classifier, *, name: str) -> Tree:
    """The same tree as float32 numpy arrays.

    Raises:
      UserError: it has not the paths and shapes of the model, or values are not finite.
    """
    return weight_table.from_tree(params, shapes(model), model=name)


def backbone(
    name: str,
    model: Classifier,
    params: Tree,
    dtype: jnp.dtype | None = None,
    remat: str = "none",
) -> Backbone:
    """The `Backbone` of a classifier and its parameters, a tree as `from_tensors` returns it."""
    trunk = model.trunk(dtype).clone(remat=remat)
    placed, its_fingerprint = place(name, params)

    def apply(params: Tree, images: jax.Array) -> jax.Array:
        return trunk.apply({"params": params["visual"]}, images).astype(jnp.float32)

    return Backbone(
        name=name,
        params=placed,
        apply=apply,
        classify=classify,
        source_classes=source_classes(model.classes),
        embed_dim=model.embed_dim,
        image_size=model.image_size,
        mean=model.mean,
        std=model.std,
        resize_size=model.resize_size,
        resize_method=model.resize_method,
        fingerprint=its_fingerprint,
    )
