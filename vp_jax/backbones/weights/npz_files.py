"""Reads `.npz` files of plain arrays; what an array claims is checked before memory is taken."""

from __future__ import annotations

import math
import pathlib
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

from vp_jax.backbones.weights.kinds import ZIP_ERRORS
from vp_jax.errors import UserError, brief

PACKED = 100
"""Weights are not compressed by more than this; a small file of zeros may be."""

_SMALL = 1 << 30
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read(path: pathlib.Path) -> Mapping[str, np.ndarray]:
    """The arrays of a file by name; nothing is unpickled.

    Raises:
      UserError: it is damaged, or has other things in it than plain arrays.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check(archive, path.stat().st_size)
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (*ZIP_ERRORS, OSError, zlib.error, KeyError, MemoryError) as error:
        raise UserError(
            f"{path} is not a whole .npz file of plain arrays ({brief(error)}): fetch it again. "
            "Files with Python objects in them are refused, since reading those can run code."
        ) from error


def _check(archive: zipfile.ZipFile, size: int) -> None:
    """Compares what every member says of itself with the room that it has.

    Raises:
      ValueError: a member is no plain array, or not of the size it should be.
    """
    members = archive.infolist()
    total = sum(member.file_size for member in members)
    if total > max(_SMALL, PACKED * size):
        raise ValueError(f"{total:,} bytes would come out of its {size:,}")
    others = []
    for member in members:
        name = member.filename.removesuffix(".npy")
        with archive.open(member) as file:
            try:
                version = np.lib.format.read_magic(file)
            except ValueError:
                others.append(name)
                continue
            if version not in _HEADERS:
                raise ValueError(f"{name} is in version {version} of NumPy's format")
            try:
                shape, _, dtype = _HEADERS[version](file)
            except Exception as error:  # NumPy lets Python's own tokenizer and parser loose on it.
                raise ValueError(f"{name} says nothing sensible of its shape") from error
            if dtype.hasobject:
                raise ValueError(f"{name}: Object arrays cannot be loaded")
            if math.prod(shape) * dtype.itemsize != member.file_size - file.tell():
                raise ValueError(f"{name} has not the bytes of an array of shape {shape}")
    if others:
        raise ValueError(f"it has other things in it: {', '.join(others[:5])}")
