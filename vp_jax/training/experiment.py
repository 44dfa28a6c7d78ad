"""All parts of a run, as its loop takes them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from vp_jax import data, heads, prompts
from vp_jax.backbones import Backbone
from vp_jax.data.augment import Augment, Mixing
from vp_jax.step.forward import Forward, Parts
from vp_jax.step.tally import Tally
from vp_jax.training.loop_settings import LoopSettings

MakeOptimizer = Callable[[Mapping[str, Any]], optax.GradientTransformation]
"""From the peak learning rate of every part, which may be a traced number, to the optimiser."""


@dataclasses.dataclass(frozen=True, eq=False)
class HeadOfRun:
    """A head with what it starts from.

    Attributes:
      head: pure functions.
      params: at the start; placeholders where the head is fitted to counts.
      meaningful: whether the unprompted model with these parameters is a classifier at all; a
        linear layer of random numbers is not.
      text_features: computed texts, to be kept in the run; empty where there are none.
      text_origin: what they were made from.
    """

    head: heads.Head
    params: dict[str, Any]
    meaningful: bool
    text_features: dict[str, np.ndarray]
    text_origin: dict[str, str]

    @property
    def name(self) -> str:
        """What results call it."""
        return self.head.name


class Advice(NamedTuple):
    """What to say of the settings that a run was made from.

    Attributes:
      notice: at its begin; empty for nothing.
      divergence: what to do where the loss is not finite.
      weights: how to give the backbone others.
    """

    notice: str = ""
    divergence: str = "Lower the learning rate"
    weights: str = "backbone.params"


@dataclasses.dataclass(frozen=True, eq=False)
class Experiment:
    """All parts of a run, before the first step.

    Attributes:
      tune: the parts that train, of prompt, head, backbone.
      seed: of everything random.
      loop: how long it trains, and when it evaluates, writes and saves.
      mesh: the devices.
      backbone: with its parameters.
      task: class names and splits.
      prompt: what acts on the images; normalisation alone where no prompt trains.
      head: with what it starts from.
      outputs: from parts and images to what the head reads.
      forward: from parts and images to logits.
      train_forward: the same with augmentation.
      augment: of training images, one by one; None without augmentation.
      mixing: of training images and their labels; None without mixup and CutMix.
      tally: counts for a mapping that is fitted; else None.
      counting: the same in the train step, where a mapping is refitted in passing; else None.
      frozen: parameters of the parts that do not change.
      initial: parameters at the start of those that do, prompt included.
      rates: peak learning rates of the tuned parts.
      make_optimizer: from such rates to the optimiser of the tuned parts.
      schedules: their learning rates by part.
      solver: of a linear probe, which is solved on features: `"auto"`, `"sklearn"` or `"optax"`;
        None where the tuned parts train by steps.
      steps_per_epoch, total_steps: of the whole run.
      key: random key of training and evaluation.
      identity: what a checkpoint must agree with to belong to this run.
      advice: what to say of its settings.
      penalties: weights of what is added to the loss, by names of `step.penalties`; no zeros.
    """

    tune: tuple[str, ...]
    seed: int
    loop: LoopSettings
    mesh: Mesh
    backbone: Backbone
    task: data.TaskData
    prompt: prompts.Chain
    head: HeadOfRun
    outputs: Forward
    forward: Forward
    train_forward: Forward
    augment: Augment | None
    mixing: Mixing | None
    tally: Tally | None
    counting: Tally | None
    frozen: Parts
    initial: Parts
    rates: dict[str, float]
    make_optimizer: MakeOptimizer
    schedules: dict[str, optax.Schedule]
    solver: str | None
    steps_per_epoch: int
    total_steps: int
    key: jax.Array
    identity: dict[str, Any]
    advice: Advice = Advice()
    penalties: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def optimizer(self) -> optax.GradientTransformation:
        """Of the tuned parts."""
        return self.make_optimizer(self.rates)

    @property
    def calibrates(self) -> bool:
        """Whether a temperature is fitted to the validation images at the end."""
        return self.loop.calibrates is not False and len(self.task.val) > 0

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of one image as the prompt and the backbone see it."""
        return (self.backbone.image_size, self.backbone.image_size, 3)

    @property
    def tuned(self) -> Parts:
        """Initial parameters of the parts that gradients train."""
        return {part: x for part, x in self.initial.items() if part in self.tune}

    @property
    def mapping(self) -> Parts:
        """What changes by other means than gradients, at the start: `{"head": parameters}` of an
        output mapping, `"base"` where the head stands on one, `"centroids"` of a prompt that needs
        them."""
        return {part: x for part, x in self.initial.items() if part not in self.tune}
