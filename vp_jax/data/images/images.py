"""Images by index, wherever they are: in memory, in a file, or decoded when asked for."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

RELEASE_BYTES = 1 << 28
"""Pages of a mapped file are given back to the system after this much was read or written."""


class Images(Protocol):
    """Images uint8 `[N, h, w, 3]`; a NumPy array is one.

    Attributes:
      shape: `(N, h, w, 3)`.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, index: Any, /) -> np.ndarray: ...

    def __len__(self) -> int: ...


class Rows:
    """Some of the images of a larger set, in an order of their own; nothing is copied.

    Attributes:
      base: the larger set.
      rows: int64 `[N]`, the positions in it.
      shape, dtype, ndim: of the selection.
    """

    dtype, ndim = np.dtype(np.uint8), 4

    def __init__(self, base: Images, rows: np.ndarray):
        self.base, self.rows = base, np.asarray(rows, np.int64)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.base.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        return self.base[self.rows[index]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        del copy  # It always is one.
        return np.asarray(self[:], dtype)


class MappedImages:
    """The images of a `.npy` file, read from disk when asked for.

    What has been read does not stay in this process's memory: however large the file, no more than
    `RELEASE_BYTES` of it count.

    Attributes:
      shape, dtype: of the array in the file.
    """

    def __init__(self, path: pathlib.Path):
        self._map(path)

    def _map(self, path: pathlib.Path) -> None:
        self._path = path
        self._array = np.load(self._path, mmap_mode="r", allow_pickle=False)
        self.shape, self.dtype = self._array.shape, self._array.dtype
        self._read = 0

    def __getstate__(self) -> pathlib.Path:
        return self._path

    def __setstate__(self, path: pathlib.Path) -> None:
        self._map(path)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        images = np.array(self._array[index])
        self._read += images.nbytes
        if self._read > RELEASE_BYTES:
            self._read = 0
            release(self._array)
        return images


def release(array: np.memmap) -> None:
    """Gives the pages of a mapped file back to the system; what was written is kept."""
    import mmap

    array._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined] # NumPy leaves it out


class DecodedImages:
    """Images that are read and decoded each time they are asked for.

    Attributes:
      shape: `(N, h, w, 3)`.
    """

    def __init__(self, decode: Callable[[int], np.ndarray], shape: tuple[int, ...]):
        self._decode, self.shape = decode, shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        if isinstance(index, slice):
            index = np.arange(len(self))[index]
        if np.ndim(index) == 0:
            return self._decode(int(index))
        images = np.empty((len(index), *self.shape[1:]), np.uint8)
        for place, i in enumerate(index):
            images[place] = self._decode(int(i))
        return images
