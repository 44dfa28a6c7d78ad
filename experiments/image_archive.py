"""Reads the archives of small images that `clip_tiny` is trained and measured on."""

from __future__ import annotations

import io
import pathlib
import tarfile

import numpy as np
import tqdm
from PIL import Image


def read_archive(path: pathlib.Path, split: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """One split of a tar file of `split/class/*` with images of one size.

    Args:
      path: of the tar file, compressed or not.
      split: its first folder, such as `train`.

    Returns:
      Images `[N, h, w, 3]` uint8, labels `[N]` int32 and the sorted class names they stand for.
    """
    images, names = [], []
    with tarfile.open(path) as archive:
        for member in tqdm.tqdm(archive, desc=f"{path.name} {split}", unit=" files"):
            parts = member.name.removeprefix("./").split("/")
            if not member.isfile() or parts[0] != split:
                continue
            encoded = archive.extractfile(member).read()
            images.append(np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB")))
            names.append(parts[1])
    classes = sorted(set(names))
    index = {name: i for i, name in enumerate(classes)}
    return np.stack(images), np.array([index[n] for n in names], np.int32), classes
