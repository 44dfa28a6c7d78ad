"""From a task's name to its splits: decoded in memory, on local disk, or when asked for."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging

from vp_jax import distributed
from vp_jax.data import pipelines, tasks
from vp_jax.data.images import brightness, cache
from vp_jax.data.images.corrupt import WiderRange
from vp_jax.data.images.decoding import (
    Decoder,
    Index,
    MixedSizes,
    decode_all,
    is_known,
    look,
    native_shape,
    read_index,
)
from vp_jax.data.images.images import DecodedImages, Images
from vp_jax.data.images.preprocess import ResizeRule
from vp_jax.data.sources import absent_classes
from vp_jax.data.sources import class_names as class_names_lib
from vp_jax.data.sources.source import read
from vp_jax.data.splits.holdout import stratified_holdout
from vp_jax.data.splits.shots import few_shot
from vp_jax.data.splits.split import Split, TaskData
from vp_jax.data.tasks import classes as classes_lib
from vp_jax.data.tasks.classes import Classes
from vp_jax.data.tasks.contents import Contents
from vp_jax.data.tasks.examples import Examples, Source
from vp_jax.errors import UserError, unknown
from vp_jax.host import files, user_cache

MAX_NAMED = 100
"""Corrupt images that are named in a message."""

WORTH_CACHING = 1000
"""Image files from which on decoded images are kept on disk, also for the devices' memory."""

VAL_SHOTS = 4
"""Validation examples a class at most where training examples are few, as in CoOp's code (Zhou et
al. 2022, arXiv 2109.01134)."""


def load_task(
    task: tasks.Task | str,
    *,
    resize: ResizeRule,
    whole: ResizeRule | None = None,
    val_fraction: float = 0.1,
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
    splits: str = "official",
    shots: int = 0,
    class_names: Sequence[str] | str | os.PathLike[str] | None = None,
    test_fraction: float = 0.2,
    skip_corrupt: bool = False,
    download: bool = True,
    progress: bool = True,
    pipeline: str = "resident",
    resident_limit: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    classes: Classes | None = None,
) -> TaskData:
    """Reads a task.

    If all images of all splits have one size with no more pixels than the model's input, they keep
    it (the resize is then part of the compiled step). Otherwise each is resized on the host.
    `TaskData.resized` says which. The pixels that the model sees do not depend on it, nor on the
    pipeline.

    Args:
      task: a task, or the name of a registered one.
      resize: how images become `[S, S, 3]`.
      whole: a second rule, by which `Split.whole` has the same images, decoded when asked for,
        where they are resized at all.
      val_fraction: the share of the training examples to hold out for validation, where the
        dataset has no validation split that is used as such.
      seed: which of them; the test split does not depend on it.
      data_dir: the folder of all prepared datasets, or the user's own data: see `source.read`.
      splits: `"official"`, or `"coop"` for the published splits of CoOp.
      shots: training examples a class, the same ones and more for a larger number; 0 for all.
        Validation examples are then at most `VAL_SHOTS` a class.
      class_names: other class names: a sequence, or the path of a text file with one a line.
      test_fraction: the share of a folder of images that becomes the test split, in (0, 1), if the
        folder has none of its own.
      skip_corrupt: leave out images that cannot be decoded, with a warning, instead of stopping.
      download: whether a missing dataset may be downloaded.
      progress: show a progress bar when it takes more than a second, and say which pipeline is
        taken.
      pipeline: `"resident"` (in memory, meant for the devices), `"cached"` (decoded on local
        disk), `"stream"` (decoded when asked for), or `"auto"`, the first of these that fits.
      resident_limit: bytes of images that `"auto"` may leave to the devices.
      cache_dir: where decoded images are kept; None is for `"cached"` and `"auto"`
        `cache.default_folder()`, and keeps nothing otherwise.
      classes: those of a run. The labels are then the run's, whatever the order of the classes in
        the data; without, they are the data's own.

    Raises:
      UserError: the dataset is missing or unfit, its classes are not those given, images are
        corrupt (all of them are named; where they are decoded when asked for, this is noticed only
        then), labels are out of range, a split is empty, the disk is full, or an argument is out
        of range.
    """
    if isinstance(task, str):
        task = tasks.get(task)
    # Bad arguments are refused before the long work.
    stratified_holdout(np.zeros(0, np.int32), val_fraction, seed)
    if pipeline not in ("auto", *pipelines.PIPELINES):
        raise unknown("pipeline", pipeline, ("auto", *pipelines.PIPELINES))
    if shots < 0:
        raise UserError(f"shots is {shots}; it must be at least 0, which stands for all examples")
    task = tasks.with_splits(task, splits)
    source = read(task, data_dir, download=download, test_fraction=test_fraction, classes=classes)
    # A folder's test split depends on it, and with it the order in which images are cached.
    source = dataclasses.replace(source, fingerprint=f"{source.fingerprint} {test_fraction}")
    own = _classes(task, source, class_names)
    named = class_names_lib.origin(task, source, class_names)
    label = np.arange(len(own.names))
    if classes is not None:
        label = classes_lib.order(classes, own, "the run", f"the data in {source.path}")
        # Names that were given for labels belong to the labels of the run.
        own = own.reordered(label, also_names=own.names == own.own)
    if cache_dir is None and pipeline in ("auto", "cached"):
        cache_dir = cache.folder_for(pipeline)
    folder = None if cache_dir is None else files.expanded(cache_dir).absolute()

    decoder = _decoder(source, resize)
    images, index, pipeline = _images(
        task, source, decoder, pipeline, resident_limit, folder, skip_corrupt, progress
    )
    if index.corrupt:
        _report_corrupt(task, index.corrupt, skip_corrupt)
    dull = brightness.warning(task.name, index.levels, int(index.good.sum()))
    if dull is not None:
        logging.warning("%s", dull)

    good = _rows(source, index)
    for name, examples in source.splits.items():
        if name != "train" or task.train is not None:
            _check_labels(task, examples.split, index.labels[good[name]], len(own.names))
    for text in absent_classes.warnings(task, source, index, [own.names[i] for i in label]):
        logging.warning("%s", text)

    has_groups = bool(source.group_names) or bool(index.groups.any())

    groups = index.groups.astype(np.int32) if has_groups else None
    resized = resize if index.resized else None
    labels = label.take(index.labels, mode="clip").astype(np.int32)
    everything = Split("", images, labels, groups, resized)
    if whole is not None and resized not in (None, whole):
        again, _ = look(decoder._replace(rule=whole, native=None))
        every = DecodedImages(again.image, again.shape)
        everything = dataclasses.replace(everything, whole=Split("", every, labels, groups, whole))
    contents = _contents(source, index)._replace(labels=labels)

    def seeded(seed: int) -> TaskData:
        rows = _split_by_seed(good, labels, val_fraction, shots, seed)

        def split(name: str) -> Split:
            return dataclasses.replace(everything.take(rows[name]), name=name)

        return TaskData(
            task=task,
            class_names=own.names,
            train=split("train"),
            val=split("val"),
            test=split("test"),
            skipped=len(index.corrupt),
            extra={name: split(name) for name in source.extra},
            group_names=source.group_names,
            pipeline=pipeline,
            classes=own,
            contents={name: contents.take(chosen) for name, chosen in rows.items()},
            reseed=seeded,
            names_from=named.where,
            named_by_user=named.by_user,
        )

    return seeded(seed)


def _classes(task: tasks.Task, source: Source, class_names: Any) -> Classes:
    """The classes of a dataset, in the order of its labels."""
    names = class_names_lib.resolve(task, source, class_names)
    keys = source.class_names if source.class_keys is None else source.class_keys
    return Classes(names, keys, source.class_names)


def _contents(source: Source, index: Index) -> Contents:
    """What tells all examples from each other, split after split."""
    every = [examples for examples in source.splits.values() if len(examples)]
    names = sizes = None
    if all(examples.sizes is not None for examples in every):
        names = np.concatenate([examples.names for examples in every])
        sizes = np.concatenate([examples.sizes for examples in every])
    return Contents(index.labels, index.content, names, sizes)


def _split_by_seed(
    rows: dict[str, np.ndarray], labels: np.ndarray, val_fraction: float, shots: int, seed: int
) -> dict[str, np.ndarray]:
    """The examples of each split once validation is held out and few shots are drawn."""
    rows = dict(rows)
    if "val" not in rows:
        train, val = stratified_holdout(labels[rows["train"]], val_fraction, seed)
        rows["train"], rows["val"] = rows["train"][train], rows["train"][val]
    if shots:
        for name, count in (("train", shots), ("val", min(shots, VAL_SHOTS))):
            rows[name] = rows[name][few_shot(labels[rows[name]], count, seed)]
    return rows


def _decoder(source: Source, resize: ResizeRule) -> Decoder:
    splits = tuple(source.splits.values())
    return Decoder(splits, resize, source.upright, native_shape(splits, resize, source.upright))


def _images(
    task: tasks.Task,
    source: Source,
    decoder: Decoder,
    setting: str,
    resident_limit: int | None,
    folder: pathlib.Path | None,
    skip_corrupt: bool,
    progress: bool,
) -> tuple[Images, Index, str]:
    """The images of all splits one after the other, what is known of them, and the pipeline."""
    count, *shape = decoder.shape
    needed = int(np.prod(decoder.shape))
    place = found = None
    if folder is not None:
        place = cache.entry(folder, task.name, source.path, decoder, "images")
        found = cache.find(place, source.fingerprint)
    choice = pipelines.choose(setting, needed, resident_limit, folder, found is not None)
    if progress:
        distributed.say(pipelines.sentence(choice, count, tuple(shape), needed))

    is_worth = choice.pipeline == "cached" or (
        choice.pipeline == "resident"
        and count >= WORTH_CACHING
        and isinstance(_first(decoder.splits), bytes)
    )
    if place is not None and choice.pipeline != "stream" and (is_worth or found):
        try:
            index = found or _build(place, source.fingerprint, decoder, progress)
            return cache.images(place), index, choice.pipeline
        except cache.Unwritable as e:
            if setting == "cached":
                raise
            user_cache.warn(place.parent, e.why)
    if choice.pipeline == "resident":
        return *_decode(decoder, progress), choice.pipeline
    return *_stream(task, source, decoder, folder, skip_corrupt, progress), "stream"


def _first(splits: Sequence[Examples]) -> bytes | np.ndarray | None:
    """The first image that can be read, decoded or not."""
    for examples in splits:
        for i in range(len(examples)):
            try:
                return examples[i].image
            except UserError:
                continue
    return None


def _decode(decoder: Decoder, progress: bool) -> tuple[np.ndarray, Index]:
    images = np.zeros(decoder.shape, np.uint8)
    try:
        return images, decode_all(decoder, images, progress)
    except (MixedSizes, WiderRange) as e:
        return _decode(decoder.corrected(e), progress)


def _build(place: pathlib.Path, fingerprint: str, decoder: Decoder, progress: bool) -> Index:
    try:
        return cache.build(
            place,
            fingerprint,
            decoder.shape,
            lambda images, release: decode_all(decoder, images, progress, release),
        )
    except (MixedSizes, WiderRange) as e:
        return _build(place, fingerprint, decoder.corrected(e), progress)


def _stream(
    task: tasks.Task,
    source: Source,
    decoder: Decoder,
    folder: pathlib.Path | None,
    check: bool,
    progress: bool,
) -> tuple[Images, Index]:
    """Images that are decoded when asked for; with `check` each is decoded once beforehand.

    What a pass over the dataset finds is kept, since it would take long to find it again.
    """
    declared = {examples.shape for examples in decoder.splits} == {decoder.native}
    if not declared:  # Only the first image has been looked at; others may have other sizes.
        decoder = decoder._replace(native=None)
    decoder, levels = look(decoder)
    known = all(map(is_known, decoder.splits))
    index = None
    if folder is not None and (check or not known):
        what = "checked" if check else "index"
        place = cache.entry(folder, task.name, source.path, decoder, what)
        try:
            index = cache.find(place, source.fingerprint) or cache.build(
                place, source.fingerprint, None, lambda *_: read_index(decoder, check, progress)
            )
        except cache.Unwritable as e:
            user_cache.warn(folder, e.why)
    index = index or read_index(decoder, check, progress)
    images = DecodedImages(decoder.image, decoder.shape)
    return images, index._replace(levels=index.levels or levels, resized=decoder.resizes)


def _rows(source: Source, index: Index) -> dict[str, np.ndarray]:
    """The good examples of each split, as positions among all."""
    rows, start = {}, 0
    for name, examples in source.splits.items():
        stop = start + len(examples)
        rows[name] = start + np.flatnonzero(index.good[start:stop])
        start = stop
    return rows


def _report_corrupt(task: tasks.Task, corrupt: Sequence[str], skip: bool) -> None:
    lines = [f"    {line}" for line in corrupt[:MAX_NAMED]]
    if len(corrupt) > MAX_NAMED:
        lines.append(f"    and {len(corrupt) - MAX_NAMED} more")
    what = f"of {task.name!r} cannot be decoded:\n" + "\n".join(lines)
    if not skip:
        raise UserError(
            f"{len(corrupt)} image(s) {what}\n"
            "Replace them or prepare the dataset again, or leave them out with "
            "--config.task.skip_corrupt=True"
        )
    logging.warning("Skipped: %d image(s) %s", len(corrupt), what)


def _check_labels(task: tasks.Task, split: str, labels: np.ndarray, num_classes: int) -> None:
    if not len(labels):
        raise UserError(f"no image of the split {split!r} of {task.name!r} can be decoded")
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(wrong):
        raise UserError(
            f"{len(wrong)} label(s) of the split {split!r} of {task.name!r} are outside "
            f"0 .. {num_classes - 1}, which the {num_classes} class names stand for; "
            f"the first is {labels[wrong[0]]}"
        )
