"""The downstream tasks: which dataset, which splits, which class names."""

from __future__ import annotations

import dataclasses

from vp_jax import errors

FORMATS = ("tfds", "npz", "folder")


@dataclasses.dataclass(frozen=True)
class Task:
    """A classification dataset and how it is used. Make your own, or change one with `replace`.

    Attributes:
      name: what the user calls it.
      tfds_name: of format tfds: its name in TensorFlow Datasets, `name`, `name/config` or
        `name/config:1.2.3`.
      train: of format tfds: split string of the pool that validation examples are held out of.
      test: of format tfds: split string of the final test, which nothing else may look at.
      class_names: one name a label, in the order of the labels; None takes those of the dataset.
      metric: what is reported.
      image_key: of format tfds: the feature that holds the image.
      label_key: of format tfds: the feature that holds the label.
      licence: of the images, in short.
      notes: what a reader of the results should know.
      generated: the package makes the dataset itself, without a network.
      format: `"tfds"`, `"npz"` (one file of arrays) or `"folder"` (one folder a class).
      file: of format npz: the file's name; None if it is the user's own and has any name.

    Raises:
      UserError: the format is unknown, or is tfds and has no `tfds_name`.
    """

    name: str
    tfds_name: str | None = None
    train: str = "train"
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

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise errors.unknown(f"format of the task {self.name!r}:", self.format, FORMATS)
        if self.format == "tfds" and not self.tfds_name:
            raise errors.UserError(
                f"the task {self.name!r} has no tfds_name; give its name in TensorFlow Datasets, "
                'or the format of your own data, "npz" or "folder"'
            )


DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# Only datasets with a test split of their own, but for the user's data. Where the dataset has a
# validation split too, it joins the training pool: every task then holds out its validation
# examples by the same seeded rule, and none has more labelled data for model selection than
# another.
_TASKS = (
    Task(
        name="digits",
        tfds_name="vp_digits",
        class_names=DIGIT_WORDS,
        licence="CC BY 4.0",
        notes="scikit-learn's 1,797 handwritten digits, 8 x 8 grey: 1,297 for training, 500 test",
        generated=True,
    ),
    Task(
        name="cifar100",
        tfds_name="cifar100",
        licence="none stated",
        notes="50,000 and 10,000 images of 32 x 32, 100 fine classes",
    ),
    Task(
        name="cifar10",
        tfds_name="cifar10",
        licence="none stated",
        notes="50,000 and 10,000 images of 32 x 32, 10 classes",
    ),
    Task(
        name="svhn_cropped",
        tfds_name="svhn_cropped",
        class_names=tuple("0123456789"),
        licence="non-commercial use only",
        notes="73,257 and 26,032 house-number digits of 32 x 32; the split `extra` is not used",
    ),
    Task(
        name="dtd",
        tfds_name="dtd",
        train="train+validation",
        licence="research use",
        notes="textures, 47 classes, the first of the ten official partitions: 3,760 and 1,880",
    ),
    Task(
        name="oxford_flowers102",
        tfds_name="oxford_flowers102",
        train="train+validation",
        licence="none stated",
        notes="102 kinds of flowers, the official splits: 2,040 and 6,149",
    ),
    Task(
        name="oxford_iiit_pet",
        tfds_name="oxford_iiit_pet",
        licence="CC BY-SA 4.0",
        notes="37 breeds of cats and dogs: 3,680 and 3,669",
    ),
    Task(
        name="usps",
        format="npz",
        file="usps.npz",
        class_names=DIGIT_WORDS,
        licence="none stated",
        notes="handwritten digits from envelopes, 16 x 16 grey: 7,291 and 2,007",
    ),
    Task(
        name="npz",
        format="npz",
        licence="yours",
        notes="any .npz file of arrays: train_data, train_target, test_data, test_target",
    ),
    Task(
        name="folder",
        format="folder",
        licence="yours",
        notes="any folder or archive of images, one folder a class",
    ),
)
_BY_NAME = {task.name: task for task in _TASKS}


def names() -> tuple[str, ...]:
    """The names `get` knows."""
    return tuple(_BY_NAME)


def get(name: str) -> Task:
    """The task of that name.

    Raises:
      UserError: there is none; the message has the nearest names.
    """
    if name not in _BY_NAME:
        raise errors.unknown("task", name, names())
    return _BY_NAME[name]
