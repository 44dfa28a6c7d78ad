"""A first `shrink` is left to the resize of stored images, which are then resampled once."""

from __future__ import annotations

import jax

from vp_jax.prompts.base import ApplyFn, Params, Prompt
from vp_jax.prompts.chain import Chain, chain
from vp_jax.prompts.stage import Stage


def by_resize(prompt: Chain) -> tuple[int | None, ApplyFn]:
    """What of a prompt the resize of stored images does, and the `apply` of what is left.

    Args:
      prompt: a chain without chains in it, as `parse` makes it.

    Returns:
      The size of a first `shrink`, None without one; and a function of the same parameters that
      acts on images that have been shrunk and centred.

    >>> from vp_jax import prompts
    >>> size, apply = by_resize(prompts.parse("shrink(164) | pad(30)"))
    >>> size
    164
    """
    first, *rest = prompt.members or (None,)
    if not (isinstance(first, Stage) and first.name == "shrink"):
        return None, prompt.apply
    return first.arguments["size"], chain(Prompt(first.init, _same), *rest).apply


def _same(params: Params, images: jax.Array) -> jax.Array:
    return images
