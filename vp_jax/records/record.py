"""What a run knows of its classes and data: kept with it, compared where it meets data again.

Every checkpoint has the classes, digests of the splits, and the schedule that follows from them.
`data.npz` has a checksum, label and file name of each example, so that it can be told what changed.
"""

from __future__ import annotations

import io
import json
import pathlib
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from vp_jax import data, distributed
from vp_jax.data.tasks import classes as classes_lib
from vp_jax.data.tasks import contents as contents_lib
from vp_jax.data.tasks.classes import Classes
from vp_jax.data.tasks.contents import Contents
from vp_jax.errors import UserError
from vp_jax.host import files
from vp_jax.records.checkpoints import meta as checkpoint_meta
from vp_jax.records.names import CHECKPOINTS, DATA, RESULT

ACCEPT = "--config.task.accept_changed_data=True"

CONSEQUENCES = (
    "the run goes on at the same step of the new schedule, its best step so far was chosen on the "
    "former validation images, and images that it has trained on may now be held out, so that "
    "accuracies on them say too much"
)

ADVICE = (
    "Give it its data back, which may lie elsewhere (--config.task.data_dir), or train on the new "
    f"ones in another --workdir. To go on nevertheless give {ACCEPT}: then {CONSEQUENCES}"
)

Splits = Mapping[str, Contents]
"""What the examples of each split are, by the split's name."""


class Record(NamedTuple):
    """What a run has kept.

    Attributes:
      classes: in the order of its labels; None for runs saved before they were kept.
      data: digests of its splits by name; None likewise.
    """

    classes: Classes | None
    data: dict[str, contents_lib.Digests] | None


def describe(classes: Classes, splits: Splits) -> dict[str, Any]:
    """What a checkpoint says of a run's classes and data, as JSON."""
    named = {name: texts and list(texts) for name, texts in classes._asdict().items()}
    return {"classes": named, "data": contents_lib.digests(splits)}


def parse(meta: Mapping[str, Any]) -> Record:
    """The same, read back; also from what was saved before it was kept."""
    named = meta.get("classes")
    if named is None:
        return Record(None, meta.get("data"))
    texts = (named.get(name) for name in Classes._fields)
    return Record(Classes(*(x and tuple(x) for x in texts)), meta.get("data"))


def read(workdir: pathlib.Path) -> Record | None:
    """Of the newest checkpoint that can be read; of a run that trained nothing, of its end.

    None where neither is there. Changes nothing, and asks no other process.
    """
    meta = checkpoint_meta.newest_meta(workdir / CHECKPOINTS)
    if meta is not None:
        return parse(meta)
    kept = _load(workdir) if (workdir / RESULT).exists() else None
    return None if kept is None else parse(kept.about)


def of_task(task: data.TaskData, splits: Splits | None = None) -> dict[str, Any]:
    """`describe` of a task, or of its classes with some splits."""
    return describe(task_classes(task), task.contents if splits is None else splits)


def task_classes(task: data.TaskData) -> Classes:
    """The classes of a task, made by hand or loaded."""
    return task.classes or Classes(task.class_names)


class Kept(NamedTuple):
    """The content of `data.npz`.

    Attributes:
      about: as `describe` makes it.
      splits: the examples.
      trained: the content of all examples that any start has trained on, uint64; None where images
        were not read.
    """

    about: dict[str, Any]
    splits: dict[str, Contents]
    trained: np.ndarray | None


def keep(
    workdir: pathlib.Path,
    about: dict[str, Any],
    splits: Splits,
    former: pathlib.Path | None = None,
) -> None:
    """Writes `data.npz`, unless it is there and says the same; of several processes the main one.

    Images that were trained on before the data changed stay known as such.

    Args:
      workdir: of the run.
      about: of classes and splits, as `describe` makes it.
      splits: the examples.
      former: the workdir whose `data.npz` says what the run has trained on before; None if it
        begins.
    """
    kept = _load(workdir)
    if not distributed.is_main() or (kept is not None and kept.about == about):
        return
    every = [x.content for name, x in splits.items() if name.split()[0] == "train"]
    before = None if former is None else _load(former)
    if before is not None:
        every.append(before.trained)
    seen = [content for content in every if content is not None]
    arrays: dict[str, Any] = {"about": _bytes(json.dumps(about))}
    if seen:
        arrays["trained"] = np.unique(np.concatenate(seen))
    for split, contents in splits.items():
        found = contents._asdict()
        if contents.names is not None:
            found["names"] = _bytes("\0".join(contents.names))
        arrays |= {f"{split}.{name}": x for name, x in found.items() if x is not None}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    files.write(workdir / DATA, lambda file: file.write(buffer.getvalue()))


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)


def _load(workdir: pathlib.Path) -> Kept | None:
    """What `keep` has written; None where it cannot be read, since it only adds to a message."""
    try:
        with np.load(workdir / DATA, allow_pickle=False) as file:
            about = json.loads(file["about"].tobytes())
            splits = {split: _contents(file, split) for split in about["data"]}
            return Kept(about, splits, file["trained"] if "trained" in file.files else None)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def _contents(file: Mapping[str, np.ndarray], split: str) -> Contents:
    found = Contents._make(file.get(f"{split}.{name}") for name in Contents._fields)
    if found.names is not None:
        names = found.names.tobytes().decode("utf-8", "surrogatepass").split("\0")
        found = found._replace(names=np.array(names[: len(found.labels)], object))
    return found


def kept_contents(workdir: pathlib.Path, split: str) -> Contents | None:
    """What the examples of a split are, as the run in a folder has kept it; None where it has not,
    or where it cannot be read."""
    kept = _load(workdir)
    return None if kept is None else kept.splits.get(split)


def changes(record: Record, splits: Splits, workdir: pathlib.Path) -> list[str]:
    """How the splits of a run differ from what it has trained on, a text for each; empty if they
    do not, or if the run was saved before it was kept what they are."""
    if record.data is None:
        return []
    texts = contents_lib.changes(record.data, contents_lib.digests(splits))
    kept = _load(workdir) if texts else None
    if kept is not None and not contents_lib.changes(record.data, kept.about["data"]):
        texts += [f"of all images {text}" for text in contents_lib.details(kept.splits, splits)]
    return texts


def schedule_changes(
    meta: Mapping[str, Any], step: int, steps_per_epoch: int, total_steps: int
) -> list[str]:
    """How the schedule differs from the one that a checkpoint was saved in, which follows from the
    settings, which cannot change, and the number of training examples."""
    before = meta.get("total_steps")
    if before is not None:
        changed = before != total_steps
        return [f"the schedule had {before:,} steps and has {total_steps:,}"] if changed else []
    there = meta.get("data_position")
    here = dict(zip(("epoch", "batch"), divmod(step, steps_per_epoch), strict=True))
    if there is None or {name: there.get(name) for name in here} == here:
        return []
    return [
        f"step {step:,} was batch {there['batch']:,} of epoch {there['epoch']:,} and is batch "
        f"{here['batch']:,} of epoch {here['epoch']:,}"
    ]


def check_classes(record: Record, task: data.TaskData, workdir: pathlib.Path) -> None:
    """Makes sure that labels stand for the classes that a run has trained on.

    Raises:
      UserError: they do not.
    """
    if record.classes is None:
        if distributed.is_main():
            logging.warning(
                "the run in %s was saved by a version that did not keep class names and data: only "
                "the number of classes and the schedule are compared",
                workdir,
            )
        return
    of_run, of_data = f"the run in {workdir}", "these data"
    places = classes_lib.order(record.classes, task_classes(task), of_run, of_data)
    if not np.array_equal(places, np.arange(len(places))):
        raise UserError(
            f"the classes of {of_data} are in another order than those of {of_run}, whose labels "
            "could not be read when the data were; run the same command again"
        )


def compare_test(
    record: Record | None, task: data.TaskData, workdir: pathlib.Path
) -> dict[str, bool | int | None]:
    """Whether a test split is the run's, and if not, how many of its images the run trained on.

    Returns:
      `same_data`, None where the run has not kept it, and `test_examples_trained_on`, by the
      images' content; 0 for the run's own test split, None where it is not known. Images that a
      dataset itself has in both splits do not count.
    """
    if record is None or record.data is None or "test" not in task.contents:
        return {"same_data": None, "test_examples_trained_on": None}
    here = task.contents["test"]
    found: int | None
    result: dict[str, bool | int | None]
    if contents_lib.same(record.data["test"], here.digests(ordered=False)):
        found = formerly_trained_on(task.contents, workdir) or 0
        what = f"the data of the run in {workdir} have changed" if found else ""
        result = {"same_data": True, "test_examples_trained_on": found}
    else:
        kept = _load(workdir)
        seen = None if kept is None else kept.trained
        found = None if seen is None else contents_lib.overlap(seen, here)
        what = f"these are not the test examples of the run in {workdir}"
        result = {"same_data": False, "test_examples_trained_on": found}
    if found:
        what += f", and it has trained on {found:,} of the {len(here.labels):,}"
    elif found is None:
        what += "; whether it has trained on some of them is not known"
    if what and distributed.is_main():
        logging.warning("%s", what)
    return result


def formerly_trained_on(splits: Splits, workdir: pathlib.Path) -> int | None:
    """How many test examples a run trained on in earlier starts, before its data changed."""
    kept = _load(workdir)
    train = splits["train"].content
    if kept is None or kept.trained is None or train is None:
        return None
    return contents_lib.overlap(np.setdiff1d(kept.trained, train), splits["test"])
