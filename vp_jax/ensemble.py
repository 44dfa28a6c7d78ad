"""Finished runs as one classifier: the mean of their class probabilities."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from vp_jax.assembly.setup import task_again
from vp_jax.backbones import Backbone
from vp_jax.classifier import to_probabilities
from vp_jax.data import TaskData
from vp_jax.data.tasks.classes import order
from vp_jax.data.tasks.contents import Contents, aligned
from vp_jax.errors import UserError
from vp_jax.host import files
from vp_jax.host.interrupts import INTERRUPTS
from vp_jax.records.record import task_classes
from vp_jax.restored import load
from vp_jax.training.feed import make_feed
from vp_jax.training.fitting.features import make_compute
from vp_jax.training.fitting.frozen_features import tested_with_features


class Ensemble(NamedTuple):
    """What runs predict together on the test split.

    Attributes:
      probabilities: of the classes, the mean over runs, float32 `[N, K]`.
      predictions: the most likely class, int `[N]`.
      labels: int32 `[N]`.
      class_names: of the K classes.
    """

    probabilities: np.ndarray
    predictions: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]

    @property
    def accuracy(self) -> float:
        """The share of right predictions."""
        return float((self.predictions == self.labels).mean())


def ensemble_predictions(
    workdirs: Sequence[str | pathlib.Path], backbone: Backbone | None = None
) -> Ensemble:
    """The best prompts of several runs together, on the test split of their task.

    Args:
      workdirs: of trainings on one task, such as `runs/sweep/0` and `runs/sweep/2`; they may have
        different prompts, heads and backbones.
      backbone: the user's own one, if they were trained with one.

    Raises:
      UserError: no run is given, one has no checkpoint, or their classes or test examples differ;
        classes or examples in another order are put in that of the first run.
    """
    if not workdirs:
        raise UserError("an ensemble needs the workdir of at least one run")
    INTERRUPTS.begin()
    first: TaskData | None = None
    total = np.zeros(())
    for workdir in map(files.expanded, workdirs):
        classifier = load(workdir, backbone=backbone)
        task = task_again(workdir, classifier.backbone)
        first = first or task
        settings = classifier.parts, classifier.mesh, classifier.batch_size
        task = tested_with_features(task, classifier.backbone, classifier.prompt, *settings)
        rows, columns = _in_order(first, task, workdirs[0], workdir)
        mesh, logits = classifier.mesh, classifier.logits(task.resized)
        forward = to_probabilities(logits, classifier.temperature)
        feed = make_feed(task, classifier.batch_size, seed=0, mesh=mesh)
        probabilities = make_compute(forward, classifier.key, feed, mesh, "probabilities")
        found = probabilities(classifier.parts, task.test)[rows][:, columns]
        total = total + found / len(workdirs)
    assert first is not None  # There is at least one.
    return Ensemble(
        total.astype(np.float32),
        total.argmax(axis=-1),
        first.test.labels,
        first.class_names,
    )


def _in_order(
    one: TaskData, other: TaskData, first: Any, workdir: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Which test examples and classes of another run are those of the first one, in its order."""
    whose = f"the run in {first}", f"the run in {workdir}"
    try:
        label = order(task_classes(one), task_classes(other), *whose)
    except UserError as error:
        raise UserError(
            f"the runs in {first} and {workdir} have different classes: {error}"
        ) from error
    there, here = (task.contents.get("test", Contents(task.test.labels)) for task in (one, other))
    rows = aligned(there, here._replace(labels=label[here.labels]))
    if rows is None:
        raise UserError(f"the runs in {first} and {workdir} have different test examples")
    return rows, np.argsort(label)
