"""All parts of a run, as its loop takes them."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vp_jax import data, heads, prompts
from vp_jax.backbones import Backbone
from vp_jax.data.augment import Mixing
from vp_jax.step.forward import Forward, Parts
from vp_jax.step.tally import Tally


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


@dataclasses.dataclass(frozen=True, eq=False)
class Experiment:
    """All parts of a run, before the first step.

    Attributes:
      config: the settings it was made from.
      mesh: the devices.
      backbone: with its parameters.
      task: class names and splits.
      prompt: what acts on the images.
      head: with what it starts from.
      outputs: from parts and images to what the head reads.
      forward: from parts and images to logits.
      train_forward: the same with augmentation.
      mixing: of training images and their labels; None without mixup and CutMix.
      tally: counts for a mapping that is fitted; else None.
      counting: the same in the train step, where a mapping is refitted in passing; else None.
      frozen: parameters of the parts that do not change.
      initial: parameters at the start of those that do, prompt included.
      optimizer: of the tuned parts.
      schedules: their learning rates by part.
      steps_per_epoch, total_steps: of the whole run.
      key: random key of training and evaluation.
      identity: what a checkpoint must agree with to belong to this run.
    """

    config: ConfigDict
    mesh: Mesh
    backbone: Backbone
    task: data.TaskData
    prompt: prompts.Prompt
    head: HeadOfRun
    outputs: Forward
    forward: Forward
    train_forward: Forward
    mixing: Mixing | None
    tally: Tally | None
    counting: Tally | None
    frozen: Parts
    initial: Parts
    optimizer: optax.GradientTransformation
    schedules: dict[str, optax.Schedule]
    steps_per_epoch: int
    total_steps: int
    key: jax.Array
    identity: dict[str, Any]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of one image as the prompt and the backbone see it."""
        return (self.backbone.image_size, self.backbone.image_size, 3)

    @property
    def tuned(self) -> Parts:
        """Initial parameters of the parts that gradients train."""
        return {part: x for part, x in self.initial.items() if part in self.config.tune}

    @property
    def mapping(self) -> Parts:
        """`{"head": parameters}` of an output mapping at the start; else empty."""
        return {part: x for part, x in self.initial.items() if part not in self.config.tune}
