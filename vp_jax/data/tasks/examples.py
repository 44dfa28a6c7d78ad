"""What every reader of datasets returns: examples by index, split by split."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np


class Example(NamedTuple):
    """One example: its image, its label, what the dataset calls it, and the domain it is from.

    The image is an image file's bytes where the dataset holds files, and uint8 `[h, w, 3]` where it
    holds arrays. The group is the number of its domain (a hospital, a region, a camera), 0 where a
    dataset has none.
    """

    image: bytes | np.ndarray
    label: int
    key: str | None
    group: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
    """One split: `examples[i]` for `0 <= i < len(examples)`, read when asked for.

    Reading an example from a damaged file raises UserError. Several threads may read at once.

    Attributes:
      split: what the dataset calls it.
      size: how many examples there are.
      get: the example of an index within the range.
      labels: int64 `[size]` where they are known without reading the images; else None.
      groups: likewise the domains.
      shape: `(h, w, 3)` of every image where that is known beforehand; else None.
      names, sizes: of the files, if every example is one: paths, an object array `[size]`, and
        bytes, int64 `[size]`; else None.
    """

    split: str
    size: int
    get: Callable[[int], Example]
    labels: np.ndarray | None = None
    groups: np.ndarray | None = None
    shape: tuple[int, int, int] | None = None
    names: np.ndarray | None = None
    sizes: np.ndarray | None = None

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[Example]:
        return map(self.get, range(self.size))

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < self.size:
            raise IndexError(f"{self.split} has {self.size} examples and none of index {index}")
        return self.get(index)


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A dataset that was found.

    Attributes:
      path: the file or folder it is read from.
      num_classes: what the dataset says; None if it does not.
      class_names: the dataset's own; None if it has none but '0', '1', '2', ...
      class_keys: what folders or labels of files call the classes, where that is something else.
      train: the pool that validation examples are held out of.
      test: the test split.
      val: the dataset's own validation split, where it is used instead of held-out examples.
      extra: further test splits by name, such as the in-distribution one of WILDS.
      group_names: of the domains, in the order of their numbers; empty where there are none.
      upright: whether photographs are turned as their EXIF orientation says.
      fingerprint: changes when a file of the dataset changes; what is cached depends on it.
    """

    path: pathlib.Path
    num_classes: int | None
    class_names: tuple[str, ...] | None
    train: Examples
    test: Examples
    val: Examples | None = None
    extra: Mapping[str, Examples] = dataclasses.field(default_factory=dict)
    group_names: tuple[str, ...] = ()
    upright: bool = False
    fingerprint: str = ""
    class_keys: tuple[str, ...] | None = None

    @property
    def splits(self) -> dict[str, Examples]:
        """All splits by name: train, val if the dataset has its own, test, and the further ones."""
        own = {} if self.val is None else {"val": self.val}
        return {"train": self.train, **own, "test": self.test, **self.extra}
