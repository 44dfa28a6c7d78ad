"""What is known of a task: where its images are from, how they are split, and how it is scored."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from vp_jax import errors
from vp_jax.data.tasks.scores import METRICS

FORMATS = ("tfds", "npz", "folder", "coop")


class Coop(NamedTuple):
    """A task in the split files that Zhou et al. published with CoOp (arXiv 2109.01134).

    Attributes:
      folder: of the dataset, in the folder of all of CoOp's datasets.
      images: the folder in it that the paths in the split file begin at; "" is the folder itself.
      file: the split file, in `folder`.
      num_classes: how many classes it has.
      sizes: the published numbers of examples for train, val and test.
    """

    folder: str
    images: str
    file: str
    num_classes: int
    sizes: tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Task:
    """A classification dataset and how it is used. Make your own, or change one with `replace`.

    Attributes:
      name: what the user calls it.
      tfds_name: of format tfds: its name in TensorFlow Datasets, `name`, `name/config` or
        `name/config:1.2.3`; names that begin with `vp_` are builders of this package.
      train: of format tfds: split string of the pool that validation examples are held out of.
        None if the dataset has nothing to train on: then it can only be tested on.
      test: of format tfds: split string of the final test, which nothing else may look at.
      class_names: one name a label, in the order of the labels, as a CLIP should read them; None
        takes those of the dataset.
      metric: what is reported, one of `METRICS`.
      image_key: of format tfds: the feature that holds the image.
      label_key: of format tfds: the feature that holds the label, or what `label_of` makes it of.
      licence: of the images, in short.
      notes: what a reader of the results should know.
      generated: the package makes the dataset itself, without a network.
      format: `"tfds"`, `"npz"` (one file of arrays), `"folder"` (one folder a class) or `"coop"`
        (the folders and split file of CoOp).
      file: of format npz: the file's name; None if it is the user's own and has any name.
      val: of format tfds: split string of the validation examples, if the dataset has its own that
        is used instead of held-out ones.
      extra: of format tfds: further splits that are scored at the end.
      train_tfds_name: of format tfds: the dataset that `train` is of, if it is not `tfds_name`.
      label_of: makes the label from the feature `label_key`, if that is not the label itself.
      group_key: of format tfds: the feature that holds the number of the domain.
      num_classes: how many classes there are; None if only the data can tell.
      sizes: the declared number of examples, for train (the whole pool), val, test and `extra`.
      download_size: bytes to download; None if there is nothing, or nobody says.
      manual: which file to put where, if it cannot be downloaded by a program.
      convention: how the splits were chosen where the dataset leaves a choice, and whose way it is.
      homepage: where the dataset is described.
      coop: the task in CoOp's splits, if it has any.

    Raises:
      UserError: the format or the metric is unknown, the format is tfds and there is no
        `tfds_name`, or domains are needed for the metric and there is no `group_key`.
    """

    name: str
    tfds_name: str | None = None
    train: str | None = "train"
    test: str = "test"
    class_names: tuple[str, ...] | None = None
    metric: str = "accuracy"
    image_key: str = "image"
    label_key: str = "label"
    licence: str = ""
    notes: str = ""
    generated: bool = False
    format: str = "tfds"
    file: str | None = None
    val: str | None = None
    extra: tuple[str, ...] = ()
    train_tfds_name: str | None = None
    label_of: Callable[[Any], int] | None = None
    group_key: str | None = None
    num_classes: int | None = None
    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict, hash=False)
    download_size: int | None = None
    manual: str = ""
    convention: str = ""
    homepage: str = ""
    coop: Coop | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise errors.unknown(f"format of the task {self.name!r}:", self.format, FORMATS)
        if self.metric not in METRICS:
            raise errors.unknown(f"metric of the task {self.name!r}:", self.metric, METRICS)
        if self.format == "tfds" and not self.tfds_name:
            raise errors.UserError(
                f"the task {self.name!r} has no tfds_name; give its name in TensorFlow Datasets, "
                'or the format of your own data, "npz" or "folder"'
            )
        if self.metric == "worst_group_accuracy" and not self.group_key:
            raise errors.UserError(
                f"the task {self.name!r} is scored by its worst group and has no group_key; name "
                "the feature that holds the number of the group"
            )

    @property
    def own_tfds_name(self) -> str:
        """Its `tfds_name`.

        Raises:
          UserError: it has none.
        """
        if not self.tfds_name:
            raise errors.UserError(f"the task {self.name!r} is none of TensorFlow Datasets")
        return self.tfds_name

    @property
    def tfds_names(self) -> tuple[str, ...]:
        """Every dataset of tfds that must be prepared for this task."""
        names = (self.train_tfds_name, self.tfds_name) if self.train else (self.tfds_name,)
        return tuple(name for name in names if name)

    @property
    def upright(self) -> bool:
        """Whether photographs are turned as their EXIF orientation says: those of folders are, as
        cameras leave them there; those of published datasets are taken as they are."""
        return self.format == "folder"
