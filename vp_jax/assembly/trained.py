"""What a run has trained, from its workdir: no data are read."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vp_jax import data, distributed, heads
from vp_jax.assembly.checks import check
from vp_jax.assembly.compose import keys_of
from vp_jax.assembly.parts.backbone import get_backbone, mesh_of
from vp_jax.assembly.parts.head import make_head, restored_head, texts_of_run
from vp_jax.assembly.parts.prompt import acting_prompt
from vp_jax.assembly.parts.prompt_start import draw_prompt
from vp_jax.assembly.settings import read_config
from vp_jax.backbones import Backbone
from vp_jax.data.tasks.classes import Classes
from vp_jax.errors import UserError
from vp_jax.prompts import Chain
from vp_jax.records import classifier_file
from vp_jax.records import record as record_lib
from vp_jax.records import workdir as workdir_lib
from vp_jax.records.checkpoints import former
from vp_jax.records.checkpoints.saved import check_identity
from vp_jax.records.checkpoints.state_arrays import Mismatch, from_arrays, to_arrays
from vp_jax.records.classifier_file import Kept
from vp_jax.records.finished import Best, load_best
from vp_jax.records.names import CHECKPOINTS
from vp_jax.step.forward import Parts
from vp_jax.training.experiment import Experiment
from vp_jax.training.fitting.centroids import none_yet


class Trained(NamedTuple):
    """What a run predicts with, at its best step.

    Attributes:
      class_names: in the order of the labels.
      prompt: what acts on the images; normalisation alone where no prompt trained.
      head: its functions.
      backbone: with its parameters before training.
      parts: parameters of all other parts, and of the backbone if it trained, on the host.
      mesh: the devices.
      key: random key of evaluation.
      batch_size: images at a time.
      upright: whether photographs are turned as their EXIF orientation says.
      temperature: by which logits are divided.
    """

    class_names: tuple[str, ...]
    prompt: Chain
    head: heads.Head
    backbone: Backbone
    parts: Parts
    mesh: Mesh
    key: jax.Array
    batch_size: int
    upright: bool
    temperature: float


def load_trained(
    workdir: pathlib.Path,
    weights: str | None = None,
    backbone: Backbone | None = None,
    batch_size: int | None = None,
) -> Trained:
    """Reads a run that was made from settings, and its backbone.

    Args:
      workdir: of the run.
      weights: where the backbone's weights are now, if not where they were.
      backbone: the user's own one, if it was trained with one.
      batch_size: images at a time, if not as in training.

    Raises:
      UserError: it has no checkpoint, or none of this backbone, or something is damaged, or has to
        be made again of its data.
    """
    config = read_config(workdir)
    with config.ignore_type():
        config.backbone.weights = weights or config.backbone.weights
        config.batch_size = batch_size or config.batch_size
        if config.backbone.shards and jax.device_count() % config.backbone.shards:
            config.backbone.shards = 0  # The devices are others than the run's.
    check(config, backbone)
    backbone = get_backbone(config, backbone)
    head, kept = restored_head(config), classifier_file.read(workdir)
    parts: Parts = {}
    if config.tune:
        best = load_best(workdir)
        made = f"the run in {workdir}"
        check_backbone_of(made, best.meta["identity"]["backbone"], backbone)
        classes = _classes(record_lib.parse(best.meta), kept, workdir)
        _check_count(best.meta["identity"]["task"], classes, workdir)
        parts = changed_parts(best, structures(config, backbone, head), workdir)
    else:
        _check_finished(workdir, backbone)
        classes = _classes(record_lib.read(workdir), kept, workdir)
    if "head" not in parts or (head.own and "base" not in parts):
        own, base = heads.split(head, _frozen_head(config, workdir, backbone, classes, kept))
        parts = {"head": own, **({"base": base} if base else {}), **parts}
    task = data.tasks.with_splits(data.tasks.get(config.task.name), config.task.splits)
    return Trained(
        class_names=classes.names,
        prompt=acting_prompt(config),
        head=head,
        backbone=backbone,
        parts=parts,
        mesh=mesh_of(config),
        key=keys_of(config.seed).run,
        batch_size=config.batch_size,
        upright=task.upright,
        temperature=temperature_of(kept),
    )


def temperature_of(kept: Kept | None) -> float:
    """That of a run, by what it has kept."""
    return 1.0 if kept is None else kept.temperature


def best_of(experiment: Experiment, workdir: pathlib.Path) -> tuple[int, Parts]:
    """The best step of a run whose parts are in memory, and what changed, as it was then.

    Of a run that trains nothing it is step 0, and a mapping that it found.

    Raises:
      UserError: there is no checkpoint, or it does not belong to the experiment.
    """
    if not experiment.tune:
        _check_finished(workdir, experiment.backbone)
        kept = classifier_file.read(workdir)
        if kept is not None and kept.head is not None:
            return 0, {"head": kept.head}
        if experiment.head.head.fit is not None:
            raise _unknown(workdir, "the output mapping that it found")
        return 0, {"head": experiment.head.params}
    best = load_best(workdir)
    where = workdir / CHECKPOINTS / str(best.step)
    check_identity(best.meta["identity"], experiment.identity, where)
    record_lib.check_classes(record_lib.parse(best.meta), experiment.task, workdir)
    return best.step, changed_parts(best, experiment.initial, workdir)


def changed_parts(best: Best, like: Parts, workdir: pathlib.Path) -> Parts:
    """The parts of a checkpoint, a mapping among them, on the host.

    Args:
      best: the checkpoint.
      like: parameters of the same structures, shapes and types, by part. A head that is not among
        them is taken as it is.
      workdir: of the run, for messages.

    Raises:
      UserError: they have others.
    """
    parts: Parts = {}
    for part, tree in like.items():
        target = {part: tree}
        own = {f"{part}.{name}": array for name, array in _of_part(best.arrays, part).items()}
        try:
            parts |= from_arrays(former.arrays(own, to_arrays(target)), target)
        except Mismatch as error:
            raise UserError(
                f"the best checkpoint of the run in {workdir}, of step {best.step}, has another "
                f"{part} than its settings say: {error}. Use what made it"
            ) from error
    for part in ("head", "base"):
        if part not in like and (found := _of_part(best.arrays, part)):
            parts[part] = found
    return parts


def _of_part(arrays: Mapping[str, np.ndarray], part: str) -> dict[str, np.ndarray]:
    """The arrays of one part, tuned or mapped, under the names that they have in it."""
    prefixes = tuple(f"{group}.{part}." for group in ("tuned", "mapping"))
    found = {name: x for name, x in arrays.items() if name.startswith(prefixes)}
    return {name.split(".", 2)[2]: x for name, x in found.items()}


def structures(config: ConfigDict, backbone: Backbone, head: heads.Head) -> Parts:
    """Parameters like those of the parts of a run that are not its head's, for `changed_parts`."""
    like = {
        "prompt": draw_prompt(config, backbone),
        "backbone": backbone.image_params(head.takes),
    }
    like = {part: x for part, x in like.items() if part in config.tune}
    return like | none_yet(acting_prompt(config), backbone.embed_dim)


def check_backbone_of(made: str, fingerprint: str, backbone: Backbone) -> None:
    """Refuses another backbone than that which something was made with.

    Raises:
      UserError: names both.
    """
    if fingerprint != backbone.fingerprint:
        raise UserError(
            f"{made} was made with the backbone {fingerprint}, and this one is "
            f"{backbone.fingerprint}: give the weights of that one"
        )


def _check_count(task: str, classes: Classes, workdir: pathlib.Path) -> None:
    """Refuses another number of classes than a checkpoint says that its task has."""
    if not task.endswith(f", {len(classes.names)} classes"):
        raise UserError(
            f"the run in {workdir} was made for {task}, and has kept {len(classes.names)} names "
            "of classes: its files are of several runs"
        )


def _check_finished(workdir: pathlib.Path, backbone: Backbone) -> None:
    """Refuses a run that trains nothing where it has not ended: it has no checkpoints."""
    result = workdir_lib.read_result(workdir)
    if result is None:
        raise UserError(
            f"the run in {workdir} has not ended yet: give the command that began it again"
        )
    fingerprint = result.get("backbone_fingerprint", backbone.fingerprint)
    check_backbone_of(f"the run in {workdir}", fingerprint, backbone)


def _classes(record: record_lib.Record | None, kept: Kept | None, workdir: pathlib.Path) -> Classes:
    if record is not None and record.classes is not None:
        return record.classes
    if kept is not None:
        return Classes(kept.class_names)
    names = (workdir_lib.read_result(workdir) or {}).get("class_names")
    if not names:
        raise _unknown(workdir, "the names of its classes")
    return Classes(tuple(names))


def _frozen_head(
    config: ConfigDict,
    workdir: pathlib.Path,
    backbone: Backbone,
    classes: Classes,
    kept: Kept | None,
) -> dict[str, Any]:
    """The parameters of a head that no checkpoint has: kept, or made as the run made them."""
    if kept is not None and kept.head is not None:
        return kept.head
    head = restored_head(config)
    if head.fit is not None and not head.own:
        raise _unknown(workdir, "the output mapping that it found")
    texts = texts_of_run(config, backbone, classes.names, workdir)
    key = keys_of(config.seed).head
    return make_head(config, backbone, classes.names, key, *texts, classes).params


def _unknown(workdir: pathlib.Path, what: str) -> UserError:
    return UserError(
        f"the run in {workdir} was saved by a version that did not keep {what}: python -m "
        f"vp_jax.evaluate --workdir={workdir}, which reads its data, does"
    )


def to_keep(experiment: Experiment, head: Mapping[str, Any]) -> Kept:
    """What a run has to keep beside its checkpoints and texts, to predict without its data.

    Args:
      experiment: the run.
      head: the parameters of its head.
    """
    saved = experiment.initial.keys() if experiment.tune else ()
    texts = experiment.head.text_features.get("text_features")
    made_of_texts = texts is not None and np.array_equal(head.get("text_features", ()), texts)
    made_of_texts |= "texts" in head
    if experiment.head.head.own:
        is_there = "head" in saved and ("base" in saved or made_of_texts)
    else:
        is_there = "head" in saved or made_of_texts
    return Kept(experiment.task.class_names, None if is_there else jax.device_get(dict(head)))


def complete(experiment: Experiment, workdir: pathlib.Path, head: Mapping[str, Any]) -> None:
    """Keeps what only the data can tell in a run of a version that did not keep it.

    A run that has what it needs is left as it is; so is a folder that cannot be written.
    """
    record = record_lib.read(workdir)
    has_names = record is not None and record.classes is not None
    has_names |= "class_names" in (workdir_lib.read_result(workdir) or {})
    has_head = bool(experiment.tune) or experiment.head.head.fit is None
    if classifier_file.read(workdir) is None and not (has_names and has_head):
        try:
            classifier_file.write(workdir, to_keep(experiment, head))
        except OSError as error:
            reason = error.strerror or error
            distributed.say(f"{workdir} cannot be written ({reason}): it is left as it is")
