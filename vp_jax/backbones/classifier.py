"""What tells one pretrained classifier from another, apart from its weights."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from vp_jax.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone
from vp_jax.backbones.layers.run import attention_of, run
from vp_jax.backbones.layers.side_by_side import side_by_side
from vp_jax.backbones.source_classes import source_classes
from vp_jax.backbones.weights import table as weight_table
from vp_jax.backbones.weights.fingerprint import place
from vp_jax.backbones.weights.table import (
    Hint,
    Shape,
    Table,
    Tree,
    convert,
    fits,
    needed_shapes,
    no_hint,
)
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
      attends: whether the trunk is a transformer, with `blocks_0` and so on.
    """

    trunk: Callable[[DTypeLike | None], nn.Module]
    embed_dim: int
    classes: str
    tables: tuple[Table, ...]
    image_size: int = 224
    resize_size: int = 256
    resize_method: str = "bilinear"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    hub: str | None = None
    attends: bool = False


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


def layouts(model: Classifier) -> list[dict[str, Shape]]:
    """The shapes of the model's tensors by name, in each of its tables."""
    return [needed_shapes(table, shapes(model)) for table in model.tables]


def layout(
    tensors: Mapping[str, np.ndarray],
    model: Classifier,
    *,
    file: str,
    name: str,
    hint: Hint = no_hint,
) -> Table:
    """The table that most of the tensors' names belong to.

    Raises:
      UserError: they belong to none.
    """
    target = shapes(model)
    found = {table: len(needed_shapes(table, target).keys() & tensors) for table in model.tables}
    best = max(found, key=found.__getitem__)
    if not found[best]:
        last = hint(tensors)
        some = ", ".join(sorted(tensors)[:5]) or "no tensors at all"
        known = ", ".join(
            f"{table.name} ({next(iter(needed_shapes(table, target)))})" for table in model.tables
        )
        raise UserError(
            f"{file} is in no layout known for {name}: it begins with {some}. Known are the names "
            f"of {known}. {last}".rstrip()
        )
    return best


def from_tensors(
    tensors: Mapping[str, np.ndarray],
    model: Classifier,
    *,
    file: str,
    name: str,
    dtype: DTypeLike = np.float32,
    hint: Hint = no_hint,
    classes: Sequence[str] = (),
) -> Tree:
    """Makes the parameter tree out of the tensors of a file in any known layout.

    A last layer that the model's classes do not fit, because it was trained for others or is not
    there, is left out of the tree, which then makes features only.

    Args:
      tensors: name -> floating-point array.
      model: that they are for.
      file: of the tensors, for messages.
      name: of the model, for messages.
      dtype: of the result; float64 is for measuring.
      hint: of tensors that do not fit, see `weight_table.convert`.
      classes: names of the last layer's classes, where they are not the model's own.

    Raises:
      UserError: the layout is not known, or tensors are missing, unexpected, wrongly shaped or
        not finite: all of them listed; or the last layer has not as many classes as named.
    """
    table = layout(tensors, model, file=file, name=name, hint=hint)
    target = shapes(model)
    if classes:
        target = {**target, "classifier": _last_layer(model, len(classes))}
    if not fits(tensors, table, target):
        prefix = os.path.commonprefix([*_last_layer_shapes(table, model)])
        trunk = {n: x for n, x in tensors.items() if not n.startswith(prefix)}
        trunk_target = {"visual": target["visual"]}
        if fits(trunk, table, trunk_target):
            if classes:
                raise UserError(
                    f"{len(classes)} names of source classes were given for {name}, but {file} has "
                    f"{_describe(tensors, table, model)}: give one name for each"
                )
            tensors, target = trunk, trunk_target
    return convert(tensors, table, target, file=file, model=name, dtype=dtype, hint=hint)


def _last_layer(model: Classifier, count: int) -> Tree:
    shape = jax.ShapeDtypeStruct
    return {
        "kernel": shape((model.embed_dim, count), jnp.float32),
        "bias": shape((count,), jnp.float32),
    }


def _last_layer_shapes(table: Table, model: Classifier, count: int = 1) -> dict[str, Shape]:
    """The shapes of the last layer's tensors by name, in the names of a table."""
    return needed_shapes(table, {"classifier": _last_layer(model, count)})


def last_layer(tensors: Mapping[str, np.ndarray], model: Classifier, *, file: str) -> str:
    """In words, what a file's last layer is: of how many classes, of another form, or missing."""
    return _describe(tensors, layout(tensors, model, file=file, name=file), model)


def _describe(tensors: Mapping[str, np.ndarray], table: Table, model: Classifier) -> str:
    names = _last_layer_shapes(table, model)
    prefix = os.path.commonprefix([*names])
    found = {n: x.shape for n, x in tensors.items() if n.startswith(prefix)}
    if not found:
        return "no last layer"
    count = max(max(shape, default=0) for shape in (found.get(n, ()) for n in [*names][1:]))
    if found == _last_layer_shapes(table, model, count):
        return f"a last layer of {count:,} classes"
    return f"a last layer of another form ({', '.join(sorted(found)[:4])})"


def from_tree(params: Tree, model: Classifier, *, name: str, classes: Sequence[str] = ()) -> Tree:
    """The same tree as float32 numpy arrays.

    Raises:
      UserError: it has not the paths and shapes of the model, or values are not finite. The last
        layer may be missing, or have the classes that are named.
    """
    target = shapes(model)
    if classes:
        target = {**target, "classifier": _last_layer(model, len(classes))}
    elif "classifier" not in params:
        target = {"visual": target["visual"]}
    return weight_table.from_tree(params, target, model=name)


def backbone(
    name: str,
    model: Classifier,
    params: Tree,
    dtype: DTypeLike | None = None,
    remat: str = "none",
    classes: Sequence[str] = (),
) -> Backbone:
    """The `Backbone` of a classifier and its parameters, a tree as `from_tensors` returns it.

    Args:
      name, model, params: of it.
      dtype, remat: as in `loading.load`.
      classes: names of its source classes, where they are not the model's own.
    """
    named = tuple(classes) or source_classes(model.classes)
    trunk = model.trunk(dtype).clone(remat=remat)
    placed, its_fingerprint = place(name, params)

    @side_by_side
    def apply(params: Tree, images: jax.Array) -> jax.Array:
        return run(trunk, params["visual"], images)

    def attention(params: Tree, images: jax.Array) -> list[jax.Array]:
        return attention_of(trunk, params["visual"], images)

    return Backbone(
        name=name,
        params=placed,
        apply=apply,
        classify=classify if "classifier" in params else None,
        source_classes=named if "classifier" in params else (),
        embed_dim=model.embed_dim,
        image_size=model.image_size,
        mean=model.mean,
        std=model.std,
        resize_size=model.resize_size,
        resize_method=model.resize_method,
        fingerprint=its_fingerprint,
        attention=attention if model.attends else None,
    )
