"""One training problem and this library's way to train on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from random_weights import random_params

from vp_jax import backbones, heads, prompts
from vp_jax.backbones.clip.sizes import SIZES
from vp_jax.heads.text import unit
from vp_jax.step.batch import Batch
from vp_jax.step.forward import Parts, make_forward, make_outputs
from vp_jax.step.step import State, TrainStep, init_state, make_train_step
from vp_jax.step.updates import optimizers

LEARNING_RATE = 0.1
MOMENTUM = 0.9


@dataclasses.dataclass(frozen=True)
class Problem:
    """Weights and data that every way of training gets.

    Attributes:
      backbone: with random weights.
      classes: downstream.
      pad: pixels of the prompt.
      prompt: its parameters.
      images: uint8, `[B, S, S, 3]`.
      labels: int32, `[B]`.
      tokens: of a CLIP: a text for each class, int32, `[K, context_length]`; else None.
    """

    backbone: backbones.Backbone
    classes: int
    pad: int
    prompt: Mapping[str, np.ndarray]
    images: np.ndarray
    labels: np.ndarray
    tokens: np.ndarray | None

    @property
    def batch(self) -> int:
        """Images a step."""
        return len(self.images)


class FirstStep(NamedTuple):
    """What the first step found: mean loss and norm of the prompt's gradient."""

    loss: float
    grad_norm: float


class Training(NamedTuple):
    """What this library trains a problem with.

    Attributes:
      step: pure.
      frozen: parameters of the parts that do not change.
      state: makes the state before the first step.
    """

    step: TrainStep
    frozen: Parts
    state: Callable[[], State]


def make_problem(
    model: str,
    batch: int,
    classes: int,
    pad: int | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    dtype: str = "float32",
    remat: str = "none",
) -> Problem:
    """Noise images and random texts of 10 tokens, from seed 0.

    Args:
      model: a name of `backbones.names()`.
      batch: images a step.
      classes: downstream.
      pad: pixels of the prompt; by default 30 for 224, in proportion elsewhere.
      params: of the model; random by default.
      dtype: that the backbone computes in.
      remat: what it computes again for gradients.
    """
    params = random_params(model) if params is None else params
    computes_in = None if dtype == "float32" else jnp.dtype(dtype)
    backbone = backbones.from_params(model, params, dtype=computes_in, remat=remat)
    # Images have the model's size already; else those of most classifiers were resized and cropped.
    backbone = dataclasses.replace(backbone, resize_size=backbone.image_size)
    rng = np.random.default_rng(0)
    tokens = None
    if backbones.is_clip(model):
        size = SIZES[model]
        tokens = np.zeros((classes, size.context_length), np.int32)
        tokens[:, :9] = rng.integers(1, size.vocab_size - 1, (classes, 9))
        tokens[:, 9] = size.vocab_size - 1  # the end of the text has the highest id
    shape = (backbone.image_size, backbone.image_size, 3)
    pad = max(1, backbone.image_size * 30 // 224) if pad is None else pad
    return Problem(
        backbone=backbone,
        classes=classes,
        pad=pad,
        prompt=jax.device_get(prompts.pad(pad).init(jax.random.key(1), shape)),
        images=rng.integers(0, 256, (batch, *shape), np.uint8),
        labels=rng.integers(0, classes, batch).astype(np.int32),
        tokens=tokens,
    )


def make_training(problem: Problem) -> Training:
    """A padding prompt under a text head, or `first_k` for a classifier, as in the paper."""
    backbone = problem.backbone
    if problem.tokens is None:
        head, inputs = heads.first_k(), len(backbone.source_classes)
    else:
        encoded = jax.jit(backbone.encode_text)(backbone.params, problem.tokens)
        head, inputs = heads.text(unit(encoded), backbone.logit_scale), backbone.embed_dim
    frozen = {
        "backbone": backbone.image_params(head.takes),
        "head": head.init(None, inputs, problem.classes),
    }
    optimizer = optimizers.by_name("sgd", LEARNING_RATE, momentum=MOMENTUM)
    outputs = make_outputs(backbone, prompts.parse(f"normalize | pad({problem.pad})"), head.takes)

    def state() -> State:
        tuned = {"prompt": ({}, jax.tree.map(jnp.array, problem.prompt))}
        return init_state(tuned, optimizer, jax.random.key(0))

    return Training(make_train_step(make_forward(outputs, head), optimizer), frozen, state)


def compile_step(problem: Problem) -> tuple[Callable[[], dict[str, jax.Array]], int]:
    """This library's train step on the problem's batch, and the bytes of its temporary arrays."""
    training = make_training(problem)
    batch = Batch(problem.images, problem.labels, np.ones(problem.batch, bool))
    state = training.state()
    program = jax.jit(training.step, donate_argnums=0)
    program = program.lower(state, training.frozen, batch).compile()

    def step() -> dict[str, jax.Array]:
        nonlocal state
        state, metrics = jax.block_until_ready(program(state, training.frozen, batch))
        return metrics

    return step, program.memory_analysis().temp_size_in_bytes


def make_step(problem: Problem) -> tuple[Callable[[], object], FirstStep]:
    """This library's train step on the problem's batch, after its first call."""
    step, _ = compile_step(problem)
    first = step()
    return step, FirstStep(*(float(first[name]) for name in FirstStep._fields))
