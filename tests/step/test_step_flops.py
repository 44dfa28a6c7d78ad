"""A train step computes what a frozen backbone needs, and not one product more."""

import dataclasses
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vp_jax import backbones, heads, prompts
from vp_jax.backbones import classifier
from vp_jax.backbones.flops import Flops, count, image_flops
from vp_jax.step.batch import Batch
from vp_jax.step.forward import make_forward, make_outputs
from vp_jax.step.step import init_state, make_train_step

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "backbones"))
import tiny_classifiers  # noqa: E402
import tiny_clips  # noqa: E402

BATCH, CLASSES = 6, 5


def a_clip(size):
    backbone = backbones.from_params("own", tiny_clips.random_params(size), size=size)
    head = heads.text(jnp.eye(CLASSES, size.embed_dim), backbone.logit_scale)
    of_head = Flops(weights=2 * size.embed_dim * CLASSES)
    return backbone, head, image_flops(backbone) + of_head


def a_classifier(name):
    model = tiny_classifiers.GOLDEN[name]
    shapes = jax.eval_shape(lambda: classifier.init(model, jax.random.key(0)))
    params = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    backbone = dataclasses.replace(
        classifier.backbone(name, model, params), resize_size=model.image_size
    )
    return backbone, heads.first_k(), image_flops(backbone, "logits")


MODELS = {
    "clip_vit": lambda: a_clip(tiny_clips.VIT),
    "clip_resnet": lambda: a_clip(tiny_clips.RESNET),
    "vit": lambda: a_classifier("vit"),
    "resnet": lambda: a_classifier("resnet8_cifar"),  # whose strides divide all sizes
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_only_the_gradients_of_activations_are_computed(name):
    backbone, head, expected = MODELS[name]()
    prompt, optimizer = prompts.parse("normalize | pad(2)"), optax.sgd(1.0, 0.9)
    forward = make_forward(make_outputs(backbone, prompt, head.takes), head)
    step = make_train_step(forward, optimizer)
    shape = (backbone.image_size, backbone.image_size, 3)
    inputs = backbone.embed_dim if head.takes == "features" else len(backbone.source_classes)
    frozen = {
        "backbone": backbone.image_params(head.takes),
        "head": head.init(None, inputs, CLASSES),
    }
    state = init_state(
        {"prompt": prompt.init(jax.random.key(0), shape)}, optimizer, jax.random.key(1)
    )
    batch = Batch(
        np.zeros((BATCH, *shape), np.uint8), np.zeros(BATCH, np.int32), np.ones(BATCH, bool)
    )
    made = count(lambda _, *arguments: step(*arguments), (), state, frozen, batch)
    assert made.forward == expected.times(BATCH).step
