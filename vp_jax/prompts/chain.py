"""Several prompts, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import jax
from jax.typing import ArrayLike

from vp_jax.errors import UserError
from vp_jax.prompts.base import Params, Prompt


def chain(*prompts: Prompt) -> Prompt:
    """Composes prompts: each is applied to the result of the one before it.

    The parameters are the tuple of the members' parameters. `init` gives each member a subkey, and
    so does `apply`, except that every member gets `rng=None` when `apply` does. A chain may hold
    chains; the empty chain is the identity, with parameters `()`.

    Args:
      *prompts: the members, first applied first.

    Returns:
      The composed prompt.

    Raises:
      UserError: for a member that is not a prompt; in `apply` for parameters that are not one for
        each member.

    >>> import jax
    >>> from vp_jax import prompts
    >>> init, apply = prompts.chain(prompts.pad(4), prompts.fixed_patch(2, top=8, left=8))
    >>> [sorted(member) for member in init(jax.random.key(0), (32, 32, 3))]
    [['bottom', 'left', 'right', 'top'], ['patch']]
    """
    for position, prompt in enumerate(prompts):
        if not isinstance(prompt, Prompt):
            raise UserError(
                f"chain() takes prompts, as in chain(pad(30), fixed_patch(4)); argument {position}"
                f" is {prompt!r}"
            )

    def init_fn(rng: jax.Array, image_shape: Sequence[int]) -> Params:
        if rng is None:
            raise UserError("init needs a key: pass rng=jax.random.key(0), or another seed")
        keys = jax.random.split(rng, len(prompts))
        return tuple(p.init(key, image_shape) for p, key in zip(prompts, keys, strict=True))

    def apply_fn(params: Params, images: ArrayLike, *, rng: jax.Array | None = None) -> jax.Array:
        if not isinstance(params, (tuple, list)) or len(params) != len(prompts):
            found = f"{type(params).__name__} of {len(params)}" if params is not None else "None"
            raise UserError(
                f"a chain of {len(prompts)} prompts needs a tuple of {len(prompts)} parameter"
                f" trees, got {found}"
            )
        keys = [None] * len(prompts) if rng is None else jax.random.split(rng, len(prompts))
        for prompt, member, key in zip(prompts, params, keys, strict=True):
            images = prompt.apply(member, images, rng=key)
        return images

    return Prompt(init_fn, apply_fn)
