"""Terms of the loss beside that of the labels: of what a prompt changes, and margins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax.backbones import Backbone
from vp_jax.data.augment import Augment
from vp_jax.data.images.resize_rule import ResizeRule
from vp_jax.prompts import Chain, chain
from vp_jax.prompts.stages.grey import LUMA
from vp_jax.step.batch import Batch
from vp_jax.step.forward import Forward, Parts, make_seen
from vp_jax.step.margins import margins

Change = Callable[..., tuple[jax.Array, jax.Array]]
"""From the arguments of a `Forward` to what the prompt changes, `[..., B, H, W, 3]`, in units in
which black is 0 and white is 1, and the images that it changes, `[B, H, W, 3]`."""

_WINDOW = 7  # pixels
_HIDDEN = 0.02  # contrast that hides nothing


def total_variation(change: jax.Array, images: jax.Array) -> jax.Array:
    """The mean distance of neighbours in a column, plus that in a row, `[..., B]`."""
    del images
    rows, columns = (
        jnp.abs(jnp.diff(change, axis=axis)).mean(axis=(-3, -2, -1)) for axis in (-3, -2)
    )
    return rows + columns


def squares(change: jax.Array, images: jax.Array) -> jax.Array:
    """The mean square, `[..., B]`."""
    del images
    return jnp.square(change).mean(axis=(-3, -2, -1))


def visibility(change: jax.Array, images: jax.Array) -> jax.Array:
    """The mean of |l| / (0.02 + s), `[..., B]`, with l the change of luma (ITU-R BT.601) of a pixel
    and s the standard deviation of the image's luma in the 7 x 7 pixels around it: texture hides
    what shows on a plain ground (contrast masking, Legge and Foley 1980)."""
    luma = images @ LUMA
    mean = _around(luma)
    spread = jnp.sqrt(jnp.maximum(_around(jnp.square(luma)) - jnp.square(mean), 0.0))
    return (jnp.abs(change @ LUMA) / (_HIDDEN + spread)).mean(axis=(-2, -1))


PENALTIES = {"tv": total_variation, "l2": squares, "visibility": visibility}
"""By name: of what a prompt changes and the images."""
MARGINS = "margins"
NAMES = (*PENALTIES, MARGINS)
"""Of all of them."""


class Penalties(NamedTuple):
    """What is added to the loss.

    Attributes:
      weights: positive, by the names in `NAMES`.
      change: of a batch.
      views: of `margins`: a forward pass to the logits of all images with the prompts of all
        classes, `[B * K, K]`, where it is given no labels.
    """

    weights: Mapping[str, float]
    change: Change
    views: Forward | None = None

    def of(self, parts: Parts, batch: Batch, **given: Any) -> dict[str, jax.Array]:
        """Each penalty, without its weight: its mean over the unmasked images of a batch, and over
        all views of each."""
        count, each = jnp.maximum(batch.mask.sum(), 1), {}
        if names := [name for name in self.weights if name in PENALTIES]:
            change, images = self.change(parts, batch.image, **given)
            each = {name: PENALTIES[name](change, images) for name in names}
        if MARGINS in self.weights:
            assert self.views is not None
            logits = self.views(parts, batch.image, **{**given, "label": None})
            by_image = logits.reshape(len(batch.label), -1, logits.shape[-1])
            each[MARGINS] = margins(by_image, batch.label)
        return {
            name: (jnp.where(batch.mask, x, 0.0).sum(axis=-1) / count).mean()
            for name, x in each.items()
        }

    def total(self, values: Mapping[str, jax.Array]) -> jax.Array:
        """Their weighted sum."""
        return jnp.sum(jnp.stack([self.weights[name] * x for name, x in values.items()]))


def make_change(
    backbone: Backbone,
    prompt: Chain,
    augment: Augment | None = None,
    resized: ResizeRule | None = None,
) -> Change:
    """What the stages of a prompt that have parameters change; the others make the images.

    The arguments are those of `make_seen`.
    """
    fixed = chain(*(stage for stage in prompt.stages if not stage.has_parameters))
    nothing: Parts = {"prompt": tuple({} for _ in fixed.members)}
    std, mean = (np.array(x, np.float32) for x in (backbone.std, backbone.mean))
    with_prompt = make_seen(backbone, prompt, augment, resized)
    without = make_seen(backbone, fixed, augment, resized)

    def change(parts: Parts, images: jax.Array, **given: Any) -> tuple[jax.Array, jax.Array]:
        before = without({**parts, **nothing}, images, **given)
        after = with_prompt(parts, images, **given)
        return (after - before) * std, before * std + mean

    return change


def _around(values: jax.Array) -> jax.Array:
    """The mean over the window around each of `[B, H, W]`, of what of it is in the image."""
    window, stride = (1, _WINDOW, _WINDOW), (1, 1, 1)
    total = [
        jax.lax.reduce_window(x, 0.0, jax.lax.add, window, stride, "SAME")
        for x in (values, jnp.ones_like(values))
    ]
    return total[0] / total[1]
