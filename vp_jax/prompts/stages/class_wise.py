"""A prompt for every class."""

from __future__ import annotations

import jax

from vp_jax.prompts.arguments import Copies
from vp_jax.prompts.base import Params, Prompt
from vp_jax.prompts.several import apply_chosen, apply_each, init_several
from vp_jax.prompts.stage import Formula, stage
from vp_jax.prompts.views import own_class


@stage
def class_wise(prompt: Prompt, classes: Copies, *, joint: bool = False) -> Formula:
    """One prompt a class (C-AVP, Chen et al., arXiv 2210.06284).

    Images that are trained on have the prompt of their own class. Where something is predicted, and
    their class is not known, the model sees them with all K prompts: with p_k the probabilities of
    the classes with the prompt of class k, that of class k is in proportion to p_k[k]. A prediction
    so costs K times as much as a step. The authors' measure of accuracy per class takes the prompt
    of the right class, which nobody knows; it is not here, nor are their attacks. By itself a
    prompt learns nothing of what is not of its class, and training, whose accuracy is that with the
    right prompt, may end far from what is predicted. Their margins, a penalty of a run, teach it
    that; `joint` closes the gap otherwise: images that are trained on have all prompts too. Both
    cost K times as much.

    Its parameters are those of `prompt` with a first axis of K; if all K are the same, it is that.

    Args:
      prompt: a stage, or a chain of several, which has parameters.
      classes: the number K of classes of the task.
      joint: whether to train by what is predicted.

    Returns:
      The stage. Its `apply` takes `target`, the classes of images `[B, H, W, C]`, int32 [B];
      without it it makes `[K, B, H, W, C]`.

    >>> import jax
    >>> from vp_jax import prompts
    >>> stage = prompts.class_wise(prompts.pad(2), 10)
    >>> params, images = stage.init(jax.random.key(0), (8, 8, 3)), jax.numpy.zeros((5, 8, 8, 3))
    >>> stage.apply(params, images).shape
    (10, 5, 8, 8, 3)
    >>> stage.apply(params, images, target=jax.numpy.arange(5)).shape
    (5, 8, 8, 3)
    """

    def apply_fn(
        params: Params, images: jax.Array, *, target: jax.Array | None = None, **given: jax.Array
    ) -> jax.Array:
        if joint or target is None:
            return apply_each(prompt, classes, params, images, given)
        return apply_chosen(prompt, target, params, images, given)

    return Formula(apply_fn, init_several(prompt, classes), combine=own_class, classes=classes)
