"""A trained prompt on images of another size, or in a frame of another width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from vp_jax.errors import UserError
from vp_jax.prompts.base import Params, Prompt
from vp_jax.prompts.chain import Chain, chain
from vp_jax.prompts.checks import check_image_shape
from vp_jax.prompts.images.canvas import canvas
from vp_jax.prompts.stage import Stage

TINY = 1e-3
"""A pixel of which less than this share was covered gets nothing."""


def transfer(
    prompt: Chain, params: Params, image_shape: Sequence[int], to: Chain, to_shape: Sequence[int]
) -> Params:
    """Parameters of one prompt made of those of another, stage by stage.

    A stage that is the same takes its parameters as they are, where their shapes are. A stage that
    adds each of its parameters to one pixel is drawn on an image, this is resampled to the other
    size (bilinear, antialiased, and divided by the share of each pixel that was covered), and read
    where the other stage lies; what it did not cover is 0. Images of values are resampled likewise.
    A stage with several prompts, each for images of its own (`cluster`, `class_wise`), has copies
    of the stages that stand in its place.

    Args:
      prompt: where the parameters are from.
      params: its parameters.
      image_shape: (H, W, C) of the images that they are for.
      to: the prompt that is to have some, of stages of the same names in the same order, some of
        which may stand within `cluster` or `class_wise`.
      to_shape: of the images that those are for.

    Returns:
      Parameters of `to`.

    Raises:
      UserError: the stages differ, or a stage has parameters that cannot be resampled.

    >>> import jax
    >>> from vp_jax import prompts
    >>> one, two = prompts.parse("pad(2)"), prompts.parse("pad(4)")
    >>> params = jax.tree.map(lambda x: x * 0 + 3, one.init(jax.random.key(0), (8, 8, 3)))
    >>> found = transfer(one, params, (8, 8, 3), two, (16, 16, 3))
    >>> found[0]["top"].shape, float(found[0]["top"].min()), float(found[0]["top"].max())
    ((4, 16, 3), 3.0, 3.0)
    """
    shapes = check_image_shape(image_shape), check_image_shape(to_shape)
    made: list[Params] = []
    left = list(zip(prompt.members, params, strict=True))
    for other in to.members:
        within = _within(other)
        if left and _name(left[0][0]) == _name(other):
            made.append(_stage(*left.pop(0), other, *shapes))
        elif within and [_name(s) for s, _ in left[: len(within)]] == [_name(s) for s in within]:
            pairs = zip(left[: len(within)], within, strict=True)
            each = tuple(_stage(*one, inner, *shapes) for one, inner in pairs)
            del left[: len(within)]
            made.append(_copies(each if len(within) > 1 else each[0], other, shapes[1]))
        else:
            left.append((other, ()))  # which has nothing to begin with
            break
    if left:
        raise UserError(
            f"a prompt {to} cannot begin as {prompt}: they must have stages of the same names in "
            "the same order"
        )
    return tuple(made)


def _within(stage: Prompt) -> tuple[Prompt, ...]:
    """The stages of which it has several, each for images of its own; of others none."""
    if not isinstance(stage, Stage):
        return ()
    is_split = stage.formula.routing is not None or stage.formula.classes is not None
    return stage.inner[0].stages if is_split else ()


def _copies(params: Params, stage: Prompt, shape: Any) -> Params:
    like = jax.eval_shape(lambda: stage.init(jax.random.key(0), shape))
    return jax.tree.map(lambda x, wanted: jnp.broadcast_to(x, wanted.shape), params, like)


def _name(stage: Prompt) -> str:
    return stage.name if isinstance(stage, Stage) else str(stage)


def _stage(one: Prompt, params: Params, other: Prompt, shape: Any, to_shape: Any) -> Params:
    like = jax.eval_shape(lambda: other.init(jax.random.key(0), to_shape))
    same = jax.tree.map(_shape, params) == jax.tree.map(_shape, like)
    both = (one, other)
    if same and (one.form == other.form or not all(map(_is_additive, both))):
        return params
    if all(map(_is_additive, both)):
        of_one, of_other = canvas(chain(one), shape, [0]), canvas(chain(other), to_shape, [0])
        (drawn,), (mask,) = of_one.draw((params,)), of_one.masks
        assert mask is not None
        covered = _resized(mask.astype(jnp.float32), to_shape)
        values = jnp.where(covered > TINY, _resized(drawn, to_shape) / covered, 0.0)
        return of_other.read((values,))[0]

    def resample(path: Any, x: jax.Array, wanted: jax.ShapeDtypeStruct) -> jax.Array:
        if x.shape == wanted.shape:
            return x
        if x.shape == shape and wanted.shape == to_shape:
            return _resized(x, to_shape)
        raise UserError(
            f"the parameters of {one} for images of {shape[0]} x {shape[1]} pixels cannot be made "
            f"those of {other} for {to_shape[0]} x {to_shape[1]}: {jax.tree_util.keystr(path)} has "
            f"the shape {x.shape}, and {wanted.shape} is needed"
        )

    if str(jax.tree.structure(params)) != str(jax.tree.structure(like)):
        raise UserError(f"{other} has other parameters than {one}, so it cannot begin with those")
    return jax.tree_util.tree_map_with_path(resample, params, like)


def _shape(x: Any) -> tuple[int, ...]:
    return tuple(x.shape)


def _is_additive(stage: Prompt) -> bool:
    return isinstance(stage, Stage) and stage.formula.additive


def _resized(x: jax.Array, shape: Any) -> jax.Array:
    if tuple(x.shape) == tuple(shape):
        return jnp.asarray(x)
    return jax.image.resize(x, shape, "linear", antialias=True, precision=jax.lax.Precision.HIGHEST)
