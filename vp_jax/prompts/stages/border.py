"""Values where a moved image leaves the canvas free."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vp_jax.prompts.base import Params, Prompt
from vp_jax.prompts.initializers import Init, Scale, initializer
from vp_jax.prompts.several import OF_IMAGES
from vp_jax.prompts.stage import Formula, stage


@stage
def border(
    prompt: Prompt, bounded: bool = False, *, init: Init = "zeros", scale: Scale = 1.0
) -> Formula:
    """What `prompt` makes of the image, and a value of its own wherever that is nothing.

    Free is where `prompt` makes 0 of an image of ones: `where(prompt(1) == 0, theta, prompt(x))`,
    so black pixels of the image are never taken for free ones. ACAVP (Enomoto, 2510.07823) is
    `border(affine | color) | normalize`; its released code looks for pixels that are 0 in all
    images of a batch instead. AutoVP (Tsao et al., 2310.08381) is
    `border(resize, bounded=True) | normalize`, and `normalize | border(resize)` for a CLIP.

    Its parameters are `inner`, those of the prompt, and `border`, theta, float32, [H, W, C], of
    which only those in free places count. Where a move changes which are free has no gradient.

    Args:
      prompt: a stage, or a chain of several, that leaves zeros where it moves the image away.
      bounded: whether the values are sigmoid(theta), in [0, 1], and not theta.
      init, scale: of theta, as for `pad`.

    >>> import jax
    >>> from vp_jax import prompts
    >>> init, apply = prompts.border(prompts.resize(scale=0.5), bounded=True)
    >>> params = init(jax.random.key(0), (4, 4, 1))
    >>> apply(params, jax.numpy.ones((4, 4, 1)))[..., 0].tolist()[:2]
    [[0.5, 0.5, 0.5, 0.5], [0.5, 1.0, 1.0, 0.5]]
    """
    draw = initializer(init, scale)

    def init_fn(rng: jax.Array, image_shape: tuple[int, int, int]) -> Params:
        own, of_prompt = jax.random.split(rng)
        return {"inner": prompt.init(of_prompt, image_shape), **draw(own, {"border": image_shape})}

    def apply_fn(params: Params, images: jax.Array, **given: jax.Array) -> jax.Array:
        of_each = not given.keys().isdisjoint(OF_IMAGES)
        ones = jnp.ones(images.shape if of_each else images.shape[-3:], images.dtype)
        moved, cover = (prompt.act(params["inner"], x, **given) for x in (images, ones))
        theta = params["border"]
        values = (jax.nn.sigmoid(theta) if bounded else theta).astype(images.dtype)
        return jnp.where(cover == 0, values, moved)

    return Formula(apply_fn, init_fn, takes_pixels=bounded)
