"""A task's splits, as training and evaluation see them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from vp_jax.data.images.images import Images, Rows
from vp_jax.data.images.resize_rule import ResizeRule
from vp_jax.data.tasks import Task
from vp_jax.data.tasks.classes import Classes
from vp_jax.data.tasks.contents import Contents
from vp_jax.errors import UserError


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Examples by index.

    Attributes:
      name: `"train"`, `"val"`, `"test"`, or that of a further test split.
      images: uint8 `[N, h, w, 3]`, in memory or elsewhere.
      labels: int32 `[N]`.
      groups: the domains, int32 `[N]`; None where the task has none.
      resized: the rule by which the images were resized and cropped, so that nothing does it
        again; None where they have the size they came in. Their shape does not tell.
      whole: the same examples in the size of the model, read when asked for, where `images` are
        smaller ones for a prompt that makes room around them; else None.
      features: of the images without a prompt, float32 `[N, D]`, where a prompt asks for them and
        they have been computed; else None.
      teacher: logits of a model that is learned from, float32 `[N, K]`; else None.
    """

    name: str
    images: Images
    labels: np.ndarray
    groups: np.ndarray | None = None
    resized: ResizeRule | None = None
    whole: Split | None = None
    features: np.ndarray | None = None
    teacher: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: np.ndarray) -> Split:
        """The examples of some indices; no image is read."""
        base, rows = self.images, np.asarray(chosen)
        if isinstance(base, Rows):
            rows = base.rows[rows]
            base = base.base
        groups = None if self.groups is None else self.groups[chosen]
        return dataclasses.replace(
            self,
            images=Rows(base, rows),
            labels=self.labels[chosen],
            groups=groups,
            whole=None if self.whole is None else self.whole.take(chosen),
            features=None if self.features is None else self.features[chosen],
            teacher=None if self.teacher is None else self.teacher[chosen],
        )

    def unprompted(self) -> Split:
        """The same examples for the model without its prompt."""
        return self if self.whole is None else dataclasses.replace(self.whole, name=self.name)


@dataclasses.dataclass(frozen=True, eq=False)
class TaskData:
    """A task's splits.

    Attributes:
      task: where they are from.
      class_names: one name a label.
      train: what is trained on.
      val: for choosing a model: the dataset's own, or held out of the training examples.
      test: evaluated once, at the end; the same for every seed.
      skipped: how many corrupt images were left out.
      extra: further test splits by name, evaluated beside `test`.
      group_names: of the domains.
      pipeline: how the images reach the devices: `"resident"`, `"cached"` or `"stream"`.
      classes: what tells the classes from others; by default their names.
      contents: what tells the examples of each split from others; empty where nothing is known.
      reseed: the same images with the splits that another seed gives; None where the splits were
        made by hand.
      names_from: where the class names are from, as in "5 classes in FILE".
      named_by_user: whether they are the user's own, who can change them.

    Raises:
      UserError: some splits were resized and others were not, or by another rule.
    """

    task: Task
    class_names: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    skipped: int = 0
    extra: Mapping[str, Split] = dataclasses.field(default_factory=dict)
    group_names: tuple[str, ...] = ()
    pipeline: str = "resident"
    classes: Classes | None = None
    contents: Mapping[str, Contents] = dataclasses.field(default_factory=dict)
    reseed: Callable[[int], TaskData] | None = None
    names_from: str = ""
    named_by_user: bool = False

    def __post_init__(self) -> None:
        for split in self.splits:
            if split.resized != self.resized:
                raise UserError(
                    f"the images of {self.train.name!r} were resized by {self.resized}, those of "
                    f"{split.name!r} by {split.resized}: all splits of a task share one way"
                )

    @property
    def splits(self) -> tuple[Split, ...]:
        """All of them."""
        return (self.train, self.val, self.test, *self.extra.values())

    @property
    def resized(self) -> ResizeRule | None:
        """The rule by which all images were resized and cropped; None where they were not."""
        return self.train.resized
