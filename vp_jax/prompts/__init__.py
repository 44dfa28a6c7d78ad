"""Visual prompts: pure functions that change images before a frozen model sees them.

Every prompt is a `Prompt`, a pair `(init, apply)` of pure functions over a pytree of parameters:

>>> import jax
>>> from vp_jax import prompts
>>> prompt = prompts.pad(30)
>>> params = prompt.init(jax.random.key(0), (224, 224, 3))
>>> images = prompt.apply(params, jax.numpy.zeros((8, 224, 224, 3)))

This package imports jax and numpy only.
"""

from vp_jax.prompts.base import Prompt
from vp_jax.prompts.chain import chain
from vp_jax.prompts.count import count
from vp_jax.prompts.fixed_patch import fixed_patch
from vp_jax.prompts.pad import pad
from vp_jax.prompts.random_patch import random_patch
from vp_jax.prompts.registry import by_name
from vp_jax.prompts.to_image import to_image

__all__ = [
    "Prompt",
    "by_name",
    "chain",
    "count",
    "fixed_patch",
    "pad",
    "random_patch",
    "to_image",
]
