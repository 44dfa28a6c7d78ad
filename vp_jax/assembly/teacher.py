"""What a finished run says of training images, for another run to learn from."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import jax
import numpy as np

from vp_jax import data, distributed
from vp_jax.assembly.trained import Trained, load_trained
from vp_jax.errors import UserError
from vp_jax.host import files
from vp_jax.step.forward import Parts, make_forward, make_outputs
from vp_jax.step.fsdp import gather_on_use, put_frozen
from vp_jax.step.sharding import put, replicated
from vp_jax.training.experiment import Experiment
from vp_jax.training.feed import HostFeed
from vp_jax.training.fitting.features import make_compute
from vp_jax.training.fitting.frozen_features import with_values


def with_teacher(experiments: Sequence[Experiment]) -> list[Experiment]:
    """The same runs with their teacher's logits of the training images, where they have one.

    They are computed once, of images without augmentation, for all epochs and members.

    Raises:
      UserError: the teacher is no run that can be loaded, has other classes, or takes images of
        another size.
    """
    first = experiments[0]
    if not first.loop.teacher:
        return list(experiments)
    trained = load_trained(files.expanded(first.loop.teacher))
    distributed.say(f"{first.loop.teacher} is the teacher of {first.task.task.name}")
    places = _places(trained.class_names, first.task.class_names, first.loop.teacher)
    logits = functools.partial(_logits, trained, places, first.loop.batch_size)
    tasks = with_values([e.task for e in experiments], logits, {"train"}, "teacher")
    return [dataclasses.replace(e, task=task) for e, task in zip(experiments, tasks, strict=True)]


def _places(there: Sequence[str], here: Sequence[str], run: str) -> np.ndarray:
    if sorted(there) != sorted(here) or len(set(here)) < len(here):
        raise UserError(
            f"the teacher {run} has the classes {', '.join(there[:5])}, ..., and this run has "
            f"{', '.join(here[:5])}, ...: config.loss.teacher takes a run on the same classes"
        )
    return np.array([list(there).index(name) for name in here])


def _logits(trained: Trained, places: np.ndarray, batch_size: int, split: data.Split) -> np.ndarray:
    """The teacher's logits `[N, K]`, float32, in this run's order of classes."""
    outputs = make_outputs(
        trained.backbone, trained.prompt, trained.head.takes, resized=split.resized
    )
    outputs = gather_on_use(outputs, trained.mesh)
    forward = make_forward(outputs, trained.head, trained.prompt.combine)
    parts: Parts = put(trained.parts, replicated(trained.mesh))
    if "backbone" not in parts:
        params = {"backbone": trained.backbone.image_params(trained.head.takes)}
        parts |= put_frozen(params, trained.mesh)
    feed = HostFeed(batch_size, 0, trained.mesh, workers=0)
    compute = make_compute(forward, jax.random.key(0), feed, trained.mesh, "the teacher's answers")
    return compute(parts, split)[:, places]
