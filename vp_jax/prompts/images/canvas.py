"""Prompts as images: what a prompt adds to every pixel, whatever its own parameters are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vp_jax.errors import UserError
from vp_jax.prompts.base import ApplyFn, Params, Prompt
from vp_jax.prompts.chain import Chain, chain
from vp_jax.prompts.checks import check_image_shape
from vp_jax.prompts.geometry.overlay import add
from vp_jax.prompts.stage import Stage

Masks = tuple[jax.Array | None, ...]
"""For every stage which pixel values it covers, bool `[H, W, C]`; None where that is all one."""


class Canvas(NamedTuple):
    """How the parameters of some stages of a prompt lie on an image.

    Attributes:
      draw: `draw(params) -> drawn`: the parameters of those stages become float32 `[H, W, C]`, 0
        where there are none; those of the others stay.
      readers: for every array of what is drawn a function that takes it, or another one of its
        kind, back to parameters; what is drawn elsewhere is lost.
      masks: where the parameters of those stages lie.
    """

    draw: Callable[[Params], Params]
    readers: Params
    masks: Masks

    def read(self, drawn: Params) -> Params:
        """The way back from what `draw` has drawn."""
        return jax.tree.map(lambda read, x: read(x), self.readers, drawn)


def differing(prompts: Sequence[Chain]) -> tuple[int, ...]:
    """The positions of the stages that differ among prompts, in more than how they begin.

    Raises:
      UserError: the prompts cannot be held in arrays of one shape: a stage that differs adds no
        parameters to pixels, or their numbers of stages differ.

    >>> from vp_jax import prompts
    >>> differing([prompts.parse("normalize | pad(30)"), prompts.parse("normalize | pad(10)")])
    (1,)
    """
    first = prompts[0]
    found = set()
    for prompt in prompts[1:]:
        how = f"{first} and {prompt} cannot be trained in one program"
        if len(prompt.members) != len(first.members):
            raise UserError(f"{how}: they have different numbers of stages")
        for position, pair in enumerate(zip(first.members, prompt.members, strict=True)):
            if pair[0].form == pair[1].form:
                continue
            for stage in pair:
                if not (isinstance(stage, Stage) and stage.formula.additive):
                    raise UserError(
                        f"{how}: only stages that add each of their parameters to one pixel, such "
                        f"as pad, may differ, and {stage} is none"
                    )
            found.add(position)
    return tuple(sorted(found))


def canvas(prompt: Chain, image_shape: Sequence[int], positions: Collection[int]) -> Canvas:
    """The canvas of some stages of a prompt that add each parameter to one pixel value.

    Stages of different sizes have canvases of one shape, so one program can hold many of them.

    Args:
      prompt: a chain.
      image_shape: (H, W, C).
      positions: of the stages, among the chain's members; all of them additive.

    >>> import jax
    >>> from vp_jax import prompts
    >>> frame = prompts.parse("normalize | pad(1)")
    >>> params = frame.init(jax.random.key(0), (4, 4, 3))
    >>> on_image = canvas(frame, (4, 4, 3), [1])
    >>> on_image.draw(params)[1].shape, int(on_image.masks[1].sum())
    ((4, 4, 3), 36)
    """
    shape = check_image_shape(image_shape)
    like = jax.eval_shape(lambda: prompt.init(jax.random.key(0), shape))
    draws, readers, masks = zip(
        *(
            _one(stage, own, shape) if place in positions else _as_it_is(own)
            for place, (stage, own) in enumerate(zip(prompt.members, like, strict=True))
        ),
        strict=True,
    )

    def draw(params: Params) -> Params:
        return tuple(draw_one(own) for draw_one, own in zip(draws, params, strict=True))

    return Canvas(draw, readers, masks)


def on_canvas(prompt: Chain, masks: Masks) -> Chain:
    """The same prompt for parameters that `Canvas.draw` has drawn; the masks may be traced."""
    stages = zip(prompt.members, masks, strict=True)
    return chain(*(s if mask is None else Prompt(s.init, _apply(mask)) for s, mask in stages))


def _as_it_is(like: Params) -> tuple[Any, Any, None]:
    return lambda params: params, jax.tree.map(lambda _: lambda x: x, like), None


def _one(stage: Prompt, like: Params, shape: tuple[int, int, int]) -> tuple[Any, Any, jax.Array]:
    def draw(params: Params) -> jax.Array:
        return stage.apply(params, jnp.zeros(shape, jnp.float32))

    def read(values: jax.Array) -> Params:
        # Drawing copies each parameter to a place of its own, so its transpose takes it back.
        (params,) = jax.linear_transpose(draw, like)(values)
        return params

    ones = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), like)
    return draw, read, draw(ones) != 0


def _apply(mask: jax.Array) -> ApplyFn:
    def apply_fn(params: Params, images: jax.Array) -> jax.Array:
        return jnp.where(mask, add(images, params), images)

    return apply_fn
