"""Reads a foreign weight file by one declarative table: target path -> source tensors, transform.

A table is a sequence of rules. A rule says, for every parameter whose path matches its regular
expression, which tensors of the file it is made of and how. Everything else follows from the
table: the shapes the file must have, the list of all that is wrong with it, and the way back.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jax.typing import DTypeLike

from vp_jax.errors import UserError

Shape = tuple[int, ...]
Tree = dict[str, Any]  # nested, with arrays or jax.ShapeDtypeStructs as leaves
Hint = Callable[[Mapping[str, np.ndarray]], str]  # of tensors that do not fit: a sentence or ""
LISTED = 20  # names that an error message lists of one kind; the rest is counted


def no_hint(tensors: Mapping[str, np.ndarray]) -> str:
    """Knows nothing about tensors that do not fit."""
    del tensors
    return ""


def looks_like(names: Sequence[str]) -> str:
    """The sentence that says which models tensors are of; empty where there are none."""
    if not names:
        return ""
    return f"The file looks like {' or '.join(names)}: is that the backbone you want?"


class Transform(NamedTuple):
    """How one parameter is made of tensors of a file.

    Attributes:
      source_shapes: maps the parameter's shape to the shapes the source tensors must have.
      forward: maps the source tensors to the parameter; keeps their dtype, or widens it.
      backward: maps the parameter to the source tensors; None where information is lost.
    """

    source_shapes: Callable[[Shape], tuple[Shape, ...]]
    forward: Callable[..., np.ndarray]
    backward: Callable[[np.ndarray], tuple[np.ndarray, ...]] | None = None


IDENTITY = Transform(lambda shape: (shape,), lambda x: x, lambda x: (x,))
TRANSPOSE = Transform(lambda shape: (shape[::-1],), np.transpose, lambda x: (x.T,))


class Rule(NamedTuple):
    r"""One kind of parameter.

    Attributes:
      target: regular expression that matches the whole path, such as `text/blocks_(\d+)/ln_1/bias`.
      sources: names of the tensors in the file, where `\1` stands for the expression's first group.
      transform: how the tensors make the parameter.
    """

    target: str
    sources: tuple[str, ...]
    transform: Transform = IDENTITY


class Table(NamedTuple):
    """One file format.

    Attributes:
      name: of the format, for messages.
      rules: the first rule that matches a path counts.
      ignored: regular expressions of whole tensor names that carry no weights.
    """

    name: str
    rules: tuple[Rule, ...]
    ignored: tuple[str, ...] = ()


AS_IT_IS = Table("vp_jax", (Rule("(.*)", (r"\1",)),))  # a flattened tree of this library


@functools.lru_cache(maxsize=64)
def _flat_shapes(
    init: Callable[[Any, jax.Array], Tree], model: Hashable
) -> dict[str, jax.ShapeDtypeStruct]:
    tree = jax.eval_shape(functools.partial(init, model), jax.random.key(0))
    return traverse_util.flatten_dict(tree, sep="/")


def shapes(init: Callable[[Any, jax.Array], Tree], model: Hashable) -> Tree:
    """What `init(model, key)` returns, with a `jax.ShapeDtypeStruct` for every array."""
    return traverse_util.unflatten_dict(_flat_shapes(init, model), sep="/")


def from_tree(params: Tree, target: Tree, *, model: str) -> Tree:
    """The parameters as float32 numpy arrays.

    Args:
      params: nested dict of arrays.
      target: nested dict of the shapes that they must have.
      model: that they are for, for the message.

    Raises:
      UserError: they have other paths or shapes, or are not finite.
    """
    flat = traverse_util.flatten_dict(params, sep="/")
    tensors = {path: np.asarray(param) for path, param in flat.items()}
    return convert(tensors, AS_IT_IS, target, file="The parameter tree", model=model)


def needed_shapes(table: Table, target: Tree) -> dict[str, Shape]:
    """The tensors that a file must hold, by name, for a tree like `target`."""
    needed: dict[str, Shape] = {}
    for path, leaf in traverse_util.flatten_dict(target, sep="/").items():
        names, transform = _sources(table, path)
        needed.update(zip(names, transform.source_shapes(tuple(leaf.shape)), strict=True))
    return needed


def fits(tensors: Mapping[str, np.ndarray], table: Table, target: Tree) -> bool:
    """Whether a file has exactly the tensors for a tree like `target`, by name and shape."""
    needed, skipped = needed_shapes(table, target), _skipped(table)
    found = {name: x.shape for name, x in tensors.items() if not skipped.fullmatch(name)}
    return found == needed


def _skipped(table: Table, ignore: Sequence[str] = ()) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{p})" for p in (*table.ignored, *ignore)) or r"(?!)")


def convert(
    tensors: Mapping[str, np.ndarray],
    table: Table,
    target: Tree,
    *,
    file: str,
    model: str,
    ignore: Sequence[str] = (),
    dtype: DTypeLike = np.float32,
    hint: Hint = no_hint,
) -> Tree:
    """Makes a parameter tree out of the tensors of a file.

    Args:
      tensors: name -> array, of any floating-point dtype.
      table: the file's format.
      target: nested dict of `jax.ShapeDtypeStruct`, as `jax.eval_shape` returns.
      file: of the tensors, for the message.
      model: that the parameters are for, for the message.
      ignore: regular expressions of tensor names to leave out, besides `table.ignored`.
      dtype: of the result.
      hint: called with the tensors when they do not fit: what it returns is the last line of the
        message, and what it raises is raised instead.

    Returns:
      A tree like `target` of contiguous numpy arrays, each cast to `dtype` once, at the end.

    Raises:
      UserError: with everything that is wrong, of all kinds: missing, unexpected, wrongly shaped,
        not floating-point or not finite tensors.
    """
    wanted = traverse_util.flatten_dict(target, sep="/")

    def make(path: str) -> _Made:
        return _make(path, tuple(wanted[path].shape), tensors, table, dtype)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Copies leave Python's lock alone.
        made = dict(zip(wanted, pool.map(make, wanted), strict=True))
    needed: dict[str, Shape] = {}
    misfits: dict[str, str] = {}
    strange: dict[str, str] = {}
    not_finite: dict[str, None] = {}
    for one in made.values():
        needed |= one.needed
        misfits |= one.misfits
        strange |= one.strange
        not_finite |= dict.fromkeys(one.not_finite)

    skipped = _skipped(table, ignore)
    missing = [
        f"{name}: needed is {shape}" for name, shape in needed.items() if name not in tensors
    ]
    unexpected = [
        f"{name}: {array.shape}"
        for name, array in tensors.items()
        if name not in needed and not skipped.fullmatch(name)
    ]
    problems = [
        *_listed("missing", missing),
        *_listed("unexpected", unexpected),
        *_listed("of the wrong shape", list(misfits.values())),
        *_listed("not floating-point", list(strange.values())),
        *_listed("not finite (NaN or Inf)", list(not_finite)),
    ]
    if problems:
        last = hint(tensors)
        raise UserError(
            "\n".join(
                [f"{file} ({table.name} layout) does not hold the weights of {model}."]
                + problems
                + ([last] if last else [])
            )
        )
    return traverse_util.unflatten_dict({path: one.param for path, one in made.items()}, sep="/")


class _Made(NamedTuple):
    """A parameter, and what is wrong with the tensors that it is made of.

    Attributes:
      param: None where these do not fit.
      needed: their shapes by name.
      misfits, strange: by name, what is wrong with shapes and dtypes.
      not_finite: names.
    """

    param: np.ndarray | None
    needed: dict[str, Shape]
    misfits: dict[str, str]
    strange: dict[str, str]
    not_finite: list[str]


def _make(
    path: str,
    shape: Shape,
    tensors: Mapping[str, np.ndarray],
    table: Table,
    dtype: DTypeLike,
) -> _Made:
    names, transform = _sources(table, path)
    needed = dict(zip(names, transform.source_shapes(shape), strict=True))
    sources = {name: tensors[name] for name in names if name in tensors}
    misfits, strange = {}, {}
    for name, array in sources.items():
        if array.shape != needed[name]:
            misfits[name] = f"{name}: the file has {array.shape}, needed is {needed[name]}"
        if not jnp.issubdtype(array.dtype, jnp.floating):
            strange[name] = f"{name}: {array.dtype}"
    if len(sources) < len(names) or misfits or strange:
        return _Made(None, needed, misfits, strange, [])
    with np.errstate(invalid="ignore", divide="ignore"):  # reported by name
        param = np.ascontiguousarray(transform.forward(*sources.values()), dtype)
    guilty: list[str] = []
    if not np.isfinite(param).all():
        guilty = [name for name, array in sources.items() if not np.isfinite(array).all()] or names
    param = param.reshape(shape)  # ascontiguousarray makes a scalar a vector
    return _Made(param, needed, misfits, strange, guilty)


def to_state_dict(params: Tree, table: Table) -> dict[str, np.ndarray]:
    """The inverse of `convert`: the tensors of a file in the table's format.

    Args:
      params: nested dict of arrays.
      table: the file's format.

    Returns:
      Name -> array, contiguous, with the dtypes of the parameters.

    Raises:
      UserError: a parameter cannot be taken back, for example a folded batch normalisation.
    """
    tensors = {}
    for path, param in traverse_util.flatten_dict(params, sep="/").items():
        names, transform = _sources(table, path)
        if transform.backward is None:
            raise UserError(
                f"{path} cannot be written in the {table.name} layout: it is made of "
                f"{', '.join(names)}, which cannot be told apart any more. Keep the original file."
            )
        param = np.asarray(param)
        for name, array in zip(names, transform.backward(param), strict=True):
            tensors[name] = np.array(array, order="C")
    return tensors


def _sources(table: Table, path: str) -> tuple[list[str], Transform]:
    """The names of the tensors that the parameter at `path` is made of, and how."""
    for rule in table.rules:
        match = re.fullmatch(rule.target, path)
        if match:
            return [match.expand(source) for source in rule.sources], rule.transform
    raise UserError(f"The {table.name} layout has no tensor for the parameter {path}.")


def _listed(kind: str, items: list[str]) -> list[str]:
    """Lines of a message, or none."""
    if not items:
        return []
    verb = "tensor is" if len(items) == 1 else "tensors are"
    more = [f"  ... and {len(items) - LISTED} more"] if len(items) > LISTED else []
    return [f"{len(items)} {verb} {kind}:", *(f"  {item}" for item in items[:LISTED]), *more]
