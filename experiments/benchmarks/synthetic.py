"""A task of random images in one file."""

from __future__ import annotations

import pathlib

import numpy as np


def make_npz(
    path: pathlib.Path, train: int, evaluated: int, classes: int, side: int = 32
) -> pathlib.Path:
    """Writes uint8 noise in the layout of the task `npz`.

    Args:
      path: of the file.
      train: images to train on.
      evaluated: images of each of validation and test.
      classes: how many.
      side: of the images, in pixels; by default as CIFAR's.
    """
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", train), ("val", evaluated), ("test", evaluated)):
        arrays[f"{split}_data"] = rng.integers(0, 256, (count, side, side, 3), np.uint8)
        arrays[f"{split}_target"] = np.arange(count) % classes
    np.savez(path, class_names=[f"class {i}" for i in range(classes)], **arrays)
    return path
