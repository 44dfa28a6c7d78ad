"""Decoded images on local disk, so that a second start of a task decodes nothing.

An entry is a folder: `images.npy` (uint8 `[N, h, w, 3]`), `index.npz` (labels, domains, which
images are good, checksums) and, written last, `about.json`, which says among others whether the
images were resized: their shape does not tell. It is made under another name and moved into place
when it is whole. An entry whose dataset has changed is replaced.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np

from vp_jax.data.images.brightness import Levels
from vp_jax.data.images.decoding import Decoder, Index
from vp_jax.data.images.images import MappedImages, release
from vp_jax.errors import UserError
from vp_jax.host import files, locks, user_cache

FORMAT = 3
"""Raised when decoding or the layout of an entry changes."""

FOLDER = "images"
"""Of all entries, in the user's cache."""

ABOUT, IMAGES, INDEX = "about.json", "images.npy", "index.npz"
INCOMPLETE, LOCK = ".incomplete-", ".lock"

DAMAGED = (
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What json and numpy raise where a file was cut off or holds something else."""


class Unwritable(UserError):
    """Nothing can be kept in the folder of the entries; `why` is the system's reason."""

    def __init__(self, message: str, why: str):
        super().__init__(message)
        self.why = why


Fill = Callable[[np.ndarray, Callable[[], None]], Index]
"""Writes all images into an array, calling its second argument now and then."""


def default_folder() -> pathlib.Path:
    """Of all entries, in the user's cache.

    Raises:
      UserError: the user has no home folder, and none is named.
    """
    return user_cache.folder() / FOLDER


def folder_for(pipeline: str) -> pathlib.Path | None:
    """`default_folder()`; None, with a warning, where there is none and the pipeline needs none."""
    return default_folder() if pipeline == "cached" else user_cache.find(FOLDER)


def entry(
    folder: pathlib.Path, name: str, path: pathlib.Path, decoder: Decoder, what: str
) -> pathlib.Path:
    """Where the images of a dataset are cached.

    Args:
      folder: of all entries.
      name: of the task.
      path: of the dataset.
      decoder: its splits and sizes are part of the entry's name.
      what: `"images"`, or `"index"` for an entry without images.
    """
    splits = [(examples.split, len(examples)) for examples in decoder.splits]
    identity = repr((str(path), splits, decoder.rule, decoder.upright, what))
    safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
    return folder / f"{safe}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def find(place: pathlib.Path, fingerprint: str) -> Index | None:
    """The index of an entry, or None where there is none, or it is of other data or damaged."""
    try:
        about = json.loads((place / ABOUT).read_text(encoding="utf-8"))
        if (about["format"], about["fingerprint"]) != (FORMAT, fingerprint):
            return None
        with np.load(place / INDEX, allow_pickle=False) as file:
            index = Index(
                file["labels"],
                file["groups"],
                file["good"],
                tuple(about["corrupt"]),
                bool(about["resized"]),
                None if about["levels"] is None else Levels(*about["levels"]),
                file["content"] if "content" in file.files else None,
            )
        if about["images"] is not None:
            images = np.load(place / IMAGES, mmap_mode="r", allow_pickle=False)
            if list(images.shape) != about["images"] or images.dtype != np.uint8:
                return None
        return index
    except (*DAMAGED, OSError):
        return None


def images(place: pathlib.Path) -> MappedImages:
    """The images of an entry that `find` has found."""
    return MappedImages(place / IMAGES)


def build(
    place: pathlib.Path, fingerprint: str, shape: tuple[int, ...] | None, fill: Fill
) -> Index:
    """Makes an entry, in place of one that is there.

    Args:
      place: of the entry.
      fingerprint: of the dataset.
      shape: of the images; None for an entry without images, whose `fill` gets an empty array.
      fill: writes the images and returns the index.

    Raises:
      Unwritable: the folder cannot be written, or the disk has not enough space.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(place.parent)
        staging = pathlib.Path(tempfile.mkdtemp(prefix=INCOMPLETE, dir=place.parent))
        lock = _locked(staging)
    except OSError as e:
        raise _unwritable(place.parent, e) from e
    try:
        if shape is None:
            index = fill(np.empty(0, np.uint8), lambda: None)
        else:
            array = _create(staging / IMAGES, shape)
            index = fill(array, functools.partial(release, array))
            array.flush()
        try:
            _write_index(staging, index)
            about = {
                "format": FORMAT,
                "fingerprint": fingerprint,
                "images": None if shape is None else list(shape),
                "corrupt": list(index.corrupt),
                "resized": index.resized,
                "levels": index.levels,
            }
            (staging / ABOUT).write_text(json.dumps(about), encoding="utf-8")
            files.sync_tree(staging)
            (staging / LOCK).unlink()
            if place.exists():
                place.rename(staging.with_name(f"{staging.name}.old"))
            staging.rename(place)
            files.sync_folder(place.parent)
        except OSError as e:
            if find(place, fingerprint) is None:  # Another process may have been faster.
                raise _unwritable(place.parent, e) from e
        return index
    finally:
        lock.close()
        shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(staging.with_name(f"{staging.name}.old"), ignore_errors=True)


def _locked(folder: pathlib.Path) -> IO[str]:
    """The lock file of an entry that is being made; open, and locked where the disk has locks."""
    file = open(folder / LOCK, "w")
    locks.lock(file)
    return file


def _remove_abandoned(folder: pathlib.Path) -> None:
    """Removes what processes left that were killed while they made an entry."""
    for lock in folder.glob(f"{INCOMPLETE}*/{LOCK}"):
        with contextlib.suppress(OSError), open(lock) as file:
            if locks.lock(file):  # Whoever makes it would have locked it.
                shutil.rmtree(lock.parent, ignore_errors=True)


def _create(path: pathlib.Path, shape: tuple[int, ...]) -> np.memmap:
    """A `.npy` file whose space is taken already: a full disk is an error now, no crash later."""
    try:
        array = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as e:
        raise _unwritable(path.parents[1], e, int(np.prod(shape))) from e
    return array


def _write_index(folder: pathlib.Path, index: Index) -> None:
    arrays: Mapping[str, Any] = {
        "labels": index.labels,
        "groups": index.groups,
        "good": index.good,
        **({} if index.content is None else {"content": index.content}),
    }
    np.savez(folder / INDEX, **arrays)


def _unwritable(folder: pathlib.Path, error: OSError, needed: int = 0) -> Unwritable:
    why = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        size = f" {needed / 1e9:,.1f} GB are needed." if needed else ""
        return Unwritable(
            f"the disk is full: decoded images cannot be cached in {folder}.{size} Free some "
            "space, name another folder with --config.task.cache_dir=DIR, or decode as the images "
            "are needed with --config.task.pipeline=stream",
            why,
        )
    return Unwritable(
        f"decoded images cannot be cached in {folder}: {why}. Name another "
        "folder with --config.task.cache_dir=DIR, or decode as the images are needed with "
        "--config.task.pipeline=stream",
        why,
    )
