"""Floating-point operations of training steps, ours and PyTorch's, by the name of the model."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vp_jax.backbones import is_clip
from vp_jax.backbones.clip.sizes import SIZES
from vp_jax.backbones.flops import Flops, count, model_flops
from vp_jax.backbones.loading.classifiers import CLASSIFIERS
from vp_jax.backbones.source_classes import source_classes


def image_flops(model: str, classes: int) -> Flops:
    """Of one image on its way to the logits.

    The head of a CLIP compares with the cached features of each class's text; a classifier computes
    the logits of all its source classes.
    """
    return model_flops(model) + Flops(weights=2 * _width(model) * _outputs(model, classes))


def torch_step_flops(model: str, batch: int, classes: int, *, as_the_paper: bool) -> int:
    """Of a training step in PyTorch, whose ViTs compute the whole last block.

    Args:
      model: a name of `backbones.names()`.
      batch: images.
      classes: of a CLIP, each with a text.
      as_the_paper: the gradients of all weights too, and of a CLIP the texts, forward and backward,
        so that images and texts are compared in a product of activations.
    """
    image = torch_image_flops(model, classes).times(batch)
    if not as_the_paper:
        return image.step
    if not is_clip(model):
        return image.full_step
    head = 2 * batch * _width(model) * _outputs(model, classes)
    texts = _text_flops(model).times(classes)
    return (image + Flops(weights=-head, activations=head) + texts).full_step


def torch_image_flops(model: str, classes: int) -> Flops:
    """Of one image in PyTorch, on its way to the logits, with texts that are cached."""
    return image_flops(model, classes) + _rest_of_last_block(model)


def most_classes(model: str, wanted: int) -> int:
    """As many as are wanted, or as a classifier has."""
    return wanted if is_clip(model) else min(wanted, _outputs(model, wanted))


def _width(model: str) -> int:
    return (SIZES if is_clip(model) else CLASSIFIERS)[model].embed_dim


def _outputs(model: str, classes: int) -> int:
    return classes if is_clip(model) else len(source_classes(CLASSIFIERS[model].classes))


def _text_flops(model: str) -> Flops:
    tower = SIZES[model].text_tower()
    tokens = jax.ShapeDtypeStruct((1, SIZES[model].context_length), jnp.int32)
    return count(tower.apply, jax.eval_shape(tower.init, jax.random.key(0), tokens), tokens)


def _rest_of_last_block(model: str) -> Flops:
    """What the other tokens than the class token cost in the last block, of one image.

    For T tokens and width W: their queries, output and four times wider MLP, `2 * 10 W^2` each,
    and their scores and mixing, `4 T W` each.
    """
    tower = SIZES[model].image_tower() if is_clip(model) else CLASSIFIERS[model].trunk(None)
    if not hasattr(tower, "patch_size"):
        return Flops()
    patches, width = (tower.image_size // tower.patch_size) ** 2, tower.width
    return Flops(20 * width**2, 4 * (patches + 1) * width).times(patches)
