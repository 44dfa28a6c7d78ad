"""Several prompts of one kind, whose answers count together."""

from __future__ import annotations

from typing import Annotated

import jax

from vp_jax.prompts.arguments import Copies, OneOf
from vp_jax.prompts.base import Params, Prompt
from vp_jax.prompts.several import apply_each, init_several
from vp_jax.prompts.stage import Formula, stage
from vp_jax.prompts.views import by_confidence, mean_probabilities

_WAYS = {"mean": mean_probabilities, "confidence": by_confidence}


@stage
def ensemble(prompt: Prompt, k: Copies, by: Annotated[str, OneOf(_WAYS)] = "mean") -> Formula:
    """`k` prompts, drawn and trained together: the model sees every image with each of them.

    Of B images it makes `[k, B, H, W, C]`. With p_v the probabilities of the classes of an image
    with prompt v, their probability is the mean of p_v, or for `by="confidence"` the sum of w_v p_v
    with w_v in proportion to log K - entropy(p_v), which is 0 for a view that knows nothing. The
    loss is of these, so that a prompt learns what the others do not know. A step costs `k` times as
    much. The weights follow DGA, which has them for crops of an image (CVPR 2026); a view's p is
    here that of the whole head.

    Its parameters are those of `prompt` with a first axis of `k`; with one it is `prompt` itself.

    Args:
      prompt: a stage, or a chain of several, which has parameters.
      k: how many, from 1 to 1000.
      by: `"mean"` or `"confidence"`.

    >>> import jax
    >>> from vp_jax import prompts
    >>> three = prompts.ensemble(prompts.pad(2), 3)
    >>> params = three.init(jax.random.key(0), (8, 8, 3))
    >>> three.apply(params, jax.numpy.zeros((5, 8, 8, 3))).shape
    (3, 5, 8, 8, 3)
    """

    def apply_fn(params: Params, images: jax.Array, **given: jax.Array) -> jax.Array:
        return apply_each(prompt, k, params, images, given)

    return Formula(apply_fn, init_several(prompt, k), combine=_WAYS[by])
