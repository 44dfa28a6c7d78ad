"""Arrays in an `.npz` file, read row by row from where they lie."""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib
import shutil
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from vp_jax.data.files.archives import zip_member
from vp_jax.data.files.random_file import RandomFile, TemporaryCopy

_COPY_BYTES = 1 << 20


class Header(NamedTuple):
    """What an array in a file says about itself.

    Attributes:
      shape, dtype: of the array.
      by_columns: whether the first index runs fastest, as in Fortran.
      size: of the header in bytes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    by_columns: bool
    size: int


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """An array in a file; `array[i]` is one row of it.

    Several threads may read at once, and it may be pickled.

    Attributes:
      file: that it is in.
      offset: where it begins.
      shape, dtype: of the array.
    """

    file: RandomFile
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype

    def __getitem__(self, index: int) -> np.ndarray:
        row = self.shape[1:]
        size = math.prod(row) * self.dtype.itemsize
        content = self.file.read(size, self.offset + index * size)
        return np.frombuffer(content, self.dtype).reshape(row)


def open_array(path: pathlib.Path, name: str, check: Callable[[Header], None]) -> StoredArray:
    """Opens an array of an `.npz` file and reads it once, to find damage.

    One that is compressed, or in Fortran's order, is written to a temporary file as it is read.

    Args:
      path: of the file.
      name: of the array.
      check: raises for an array that is unfit, before it is read.

    Raises:
      Exception: whatever zip, zlib and NumPy raise for damaged files and arrays of objects.
      UserError: there is no space for the temporary file.
    """
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{name}.npy")
        with archive.open(info) as member:
            header = _header(member)
            check(header)
            stored = info.compress_type == zipfile.ZIP_STORED and not header.by_columns
            if stored:
                shutil.copyfileobj(member, _Nowhere(), _COPY_BYTES)
    if stored:
        file = RandomFile(path)
        offset = zip_member(info).start(file) + header.size
    else:
        file, offset = TemporaryCopy(path, functools.partial(_write, path, name)), 0
    if info.file_size != header.size + math.prod(header.shape) * header.dtype.itemsize:
        raise ValueError("there is more or less of it than it says")
    return StoredArray(file, offset, header.shape, header.dtype)


class _Nowhere:
    """A file that forgets what is written."""

    def write(self, content: bytes) -> None:
        pass


def _header(member: Any) -> Header:
    version = np.lib.format.read_magic(member)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in read:
        raise ValueError(f"version {version} of NumPy's format is not known")
    shape, by_columns, dtype = read[version](member)
    return Header(shape, dtype, by_columns, member.tell())


def _write(path: pathlib.Path, name: str, file: BinaryIO) -> None:
    """Writes an array as plain bytes, the last index running fastest."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
        header = _header(member)
        if header.by_columns:
            turned = np.frombuffer(member.read(), header.dtype).reshape(header.shape[::-1]).T
            file.write(np.ascontiguousarray(turned).data.cast("B"))
        else:
            shutil.copyfileobj(member, file, _COPY_BYTES)
