"""The classifier of a run: loaded from its workdir or a bundle, or made of parts in memory."""

from __future__ import annotations

import dataclasses
import pathlib

from vp_jax.assembly.bundle import load_bundle
from vp_jax.assembly.trained import best_of, load_trained, temperature_of
from vp_jax.backbones import Backbone
from vp_jax.backbones.weights import hub
from vp_jax.classifier import Classifier, multiple
from vp_jax.host import files
from vp_jax.records import classifier_file
from vp_jax.records.pulled import pull
from vp_jax.step.forward import Parts
from vp_jax.step.fsdp import put_frozen
from vp_jax.step.sharding import put, replicated
from vp_jax.training.experiment import Experiment


def load(
    workdir: str | pathlib.Path,
    *,
    weights: str | None = None,
    backbone: Backbone | None = None,
    batch_size: int | None = None,
    experiment: Experiment | None = None,
) -> Classifier:
    """The classifier that a run has trained, at its best step. Reads no data, changes nothing.

    Args:
      workdir: of a training, finished or with a checkpoint; of a sweep, the folder of a member; or
        a bundle, the file that `vp_jax.export` has written of one, or `owner/name` of one on the
        Hugging Face Hub, where nothing on this machine has that name.
      weights: where the backbone's weights are now, if not where they were.
      backbone: the user's own one, if the run was made with one.
      batch_size: images at a time, if not as in training; rounded up to a multiple of the devices.
      experiment: the parts of a run that was made of them, instead of all these.

    Raises:
      UserError: there is no run or no checkpoint, something of it is missing or damaged, or the
        backbone is another one.

    >>> vp_jax.load("runs/quickstart").predict("digit.png")  # doctest: +SKIP
    Prediction(name='seven', probability=0.98, label=7)
    """
    workdir = place(workdir)
    if experiment is not None:
        return restore(experiment, workdir, put_frozen(experiment.frozen, experiment.mesh))[0]
    from_file = load_bundle if workdir.is_file() else load_trained
    trained = from_file(workdir, weights, backbone, batch_size)
    parts = put(trained.parts, replicated(trained.mesh))
    if "backbone" not in parts:
        frozen = {"backbone": trained.backbone.image_params(trained.head.takes)}
        parts |= put_frozen(frozen, trained.mesh)
    return Classifier(
        class_names=trained.class_names,
        prompt=trained.prompt,
        head=trained.head,
        backbone=trained.backbone,
        parts=parts,
        mesh=trained.mesh,
        key=trained.key,
        batch_size=multiple(trained.batch_size, trained.mesh.size),
        upright=trained.upright,
        temperature=trained.temperature,
    )


def place(given: str | pathlib.Path) -> pathlib.Path:
    """The folder or file of what is to be loaded, fetched where it is not on this machine."""
    path = files.expanded(given)
    return pull(str(given)) if not path.exists() and hub.is_repository(given) else path


def of_experiment(experiment: Experiment, parts: Parts) -> Classifier:
    """The classifier of a run whose parts are in memory, with some parameters."""
    return Classifier(
        class_names=experiment.task.class_names,
        prompt=experiment.prompt,
        head=experiment.head.head,
        backbone=experiment.backbone,
        parts=parts,
        mesh=experiment.mesh,
        key=experiment.key,
        batch_size=multiple(experiment.loop.batch_size, experiment.mesh.size),
        upright=experiment.task.task.upright,
    )


def restore(experiment: Experiment, workdir: pathlib.Path, frozen: Parts) -> tuple[Classifier, int]:
    """The classifier of a run whose parts are in memory, and its best step.

    Args:
      experiment: the run.
      workdir: its folder.
      frozen: the parameters that do not change, on the devices.

    Raises:
      UserError: there is no checkpoint, or it does not belong to the experiment.
    """
    step, changed = best_of(experiment, workdir)
    parts = {**frozen, **put(changed, replicated(experiment.mesh))}
    temperature = temperature_of(classifier_file.read(workdir))
    classifier = dataclasses.replace(of_experiment(experiment, parts), temperature=temperature)
    return classifier, step
