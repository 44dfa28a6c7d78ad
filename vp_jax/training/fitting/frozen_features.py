"""What the frozen backbone makes of images without a prompt, for prompts that ask for it: computed
once for all epochs and members."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from vp_jax.backbones import Backbone
from vp_jax.data import Split, TaskData
from vp_jax.data.images.images import Rows
from vp_jax.prompts import Chain
from vp_jax.records.names import FEATURES
from vp_jax.step.forward import Parts, make_outputs
from vp_jax.step.fsdp import gather_on_use, put_frozen
from vp_jax.training.experiment import Experiment
from vp_jax.training.feed import HostFeed, base_of
from vp_jax.training.fitting import features as features_lib

Compute = Callable[[Split], np.ndarray]


def are_asked_for(prompt: Chain) -> bool:
    """Whether a prompt needs the features of its images."""
    return "features" in prompt.keywords.names


def with_features(
    experiments: Sequence[Experiment],
    workdir: pathlib.Path | None = None,
    only: Sequence[str] | None = None,
) -> list[Experiment]:
    """The same runs with the features of their images, where their prompts ask for them.

    Training images that are augmented or mixed get none: they are never the same.

    Args:
      experiments: of one run, or of all members of a sweep.
      workdir: where they are kept until the run is finished; None keeps them nowhere.
      only: names of the splits that are needed; None: all.
    """
    first = experiments[0]
    if not any(are_asked_for(e.prompt) for e in experiments):
        return list(experiments)
    changing = () if first.augment is None and first.mixing is None else ("train",)
    tasks = [e.task for e in experiments]
    names = {split.name for task in tasks for split in task.splits if split.name not in changing}
    parts = put_frozen({"backbone": first.frozen["backbone"]}, first.mesh)
    settings = first.backbone, first.prompt, parts, first.mesh, first.loop.batch_size
    compute = make_compute(tasks[0], *settings)
    if workdir is not None:
        compute = functools.partial(_kept, workdir / FEATURES, compute, _origin(experiments))
    known = with_values(tasks, compute, names if only is None else names & {*only})
    return [dataclasses.replace(e, task=task) for e, task in zip(experiments, known, strict=True)]


def tested_with_features(
    task: TaskData, backbone: Backbone, prompt: Chain, parts: Parts, mesh: Mesh, batch_size: int
) -> TaskData:
    """A task with the features of its test images, where a prompt asks for them.

    Args:
      task: its images resized for backbone and prompt.
      backbone: whose features they are.
      prompt: which acts on the images.
      parts: with the backbone's parameters, on the devices.
      mesh: the devices.
      batch_size: images at a time.
    """
    if not are_asked_for(prompt):
        return task
    compute = make_compute(task, backbone, prompt, parts, mesh, batch_size)
    return with_values([task], compute, {"test"})[0]


def forget(workdir: pathlib.Path) -> None:
    """Removes what was kept of a run that is finished."""
    features_lib.forget(workdir / FEATURES)


def make_compute(
    task: TaskData, backbone: Backbone, prompt: Chain, parts: Parts, mesh: Mesh, batch_size: int
) -> Compute:
    """A function of a split of a task: what the backbone makes of its images without a prompt.

    The arguments are those of `tested_with_features`.
    """
    outputs = gather_on_use(make_outputs(backbone, prompt, "features", resized=task.resized), mesh)
    feed = HostFeed(batch_size, 0, mesh, workers=0)
    run = features_lib.make_compute(outputs, jax.random.key(0), feed, mesh)
    unprompted = {"backbone": parts["backbone"]}
    return lambda split: run(unprompted, split)


def _kept(folder: pathlib.Path, compute: Compute, of: list[Any], split: Split) -> np.ndarray:
    rows = hashlib.sha256(base_of(split)[1].tobytes()).hexdigest()
    origin = {"of": repr((of, rows))}
    return features_lib.cached(folder, split, functools.partial(compute, split), origin)


def with_values(
    tasks: Sequence[TaskData], compute: Compute, names: set[str], field: str = "features"
) -> list[TaskData]:
    """Tasks whose splits of these names have features, or values of another field; each image's are
    computed once."""
    bases: dict[int, list[Split]] = {}
    for split in (split for task in tasks for split in task.splits if split.name in names):
        bases.setdefault(id(base_of(split)[0]), []).append(split)
    tables = {}
    for number, (key, splits) in enumerate(bases.items()):
        used = np.unique(np.concatenate([base_of(split)[1] for split in splits]))
        name = "images" if len(bases) == 1 else f"images {number}"
        tables[key] = used, compute(_rows_of(splits[0], used, name))

    def known(split: Split) -> Split:
        if split.name not in names:
            return split
        base, rows = base_of(split)
        used, table = tables[id(base)]
        values: Any = {field: table[np.searchsorted(used, rows)]}
        return dataclasses.replace(split, **values)

    def of_task(task: TaskData) -> TaskData:
        extra = {name: known(split) for name, split in task.extra.items()}
        train, val, test = map(known, (task.train, task.val, task.test))
        return dataclasses.replace(task, train=train, val=val, test=test, extra=extra)

    return [of_task(task) for task in tasks]


def _rows_of(split: Split, rows: np.ndarray, name: str) -> Split:
    """The images of some rows of the larger set that a split is from."""
    labels = np.zeros(len(rows), np.int32)
    whole = split.whole and _rows_of(split.whole, rows, name)
    images = Rows(base_of(split)[0], rows)
    return Split(name, images, labels, resized=split.resized, whole=whole)


def _origin(experiments: Sequence[Experiment]) -> list[Any]:
    """Of which backbone and images features are."""
    tasks = {e.seed: e.task for e in experiments}
    return [
        experiments[0].backbone.fingerprint,
        *(
            (seed, name, known.digests(ordered=True))
            for seed, task in tasks.items()
            for name, known in task.contents.items()
        ),
    ]
