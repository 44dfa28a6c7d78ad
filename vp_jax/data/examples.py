"""What every reader of datasets returns: examples by index, in a pool for training and a test."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Example(NamedTuple):
    """One example: its image, its label, and what the dataset calls it.

    The image is an image file's bytes where the dataset holds files, and uint8 `[h, w, 3]` where it
    holds arrays.
    """

    image: bytes | np.ndarray
    label: int
    key: str | None


@dataclasses.dataclass(frozen=True, eq=False)
class Examples(Sequence[Example]):
    """One split: `examples[i]` for `0 <= i < len(examples)`, read when asked for.

    Reading an example from a damaged file raises UserError.

    Attributes:
      split: what the dataset calls it.
      size: how many examples there are.
      get: the example of an index within the range.
    """

    split: str
    size: int
    get: Callable[[int], Example]

    def __len__(self) -> int:
        return self.size

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
      train: the pool that validation examples are held out of.
      test: the test split.
    """

    path: pathlib.Path
    num_classes: int | None
    class_names: tuple[str, ...] | None
    train: Examples
    test: Examples
