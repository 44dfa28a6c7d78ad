"""Small folders of images and archives of them, made in a moment."""

from __future__ import annotations

import io
import pathlib
import tarfile
import zipfile
from collections.abc import Mapping

import numpy as np
from fake_tfds import png


def picture(number: int, size: tuple[int, int] = (6, 6)) -> np.ndarray:
    """A random image uint8 `[h, w, 3]`, another one for each number."""
    return np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)


def classes(names: str, count: int = 5, *, under: str = "", first: int = 0) -> dict[str, bytes]:
    """Image files `under/NAME/0.png` and so on, for each of the names in a text."""
    return {
        f"{under}{name}/{i}.png": png(picture(first + 100 * label + i))
        for label, name in enumerate(names.split())
        for i in range(count)
    }


def write_folder(root: pathlib.Path, files: Mapping[str, bytes]) -> pathlib.Path:
    """Writes files by relative path; one that ends in `/` is an empty folder."""
    root.mkdir(exist_ok=True)
    for name, content in files.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return root


def write_archive(path: pathlib.Path, files: Mapping[str, bytes]) -> pathlib.Path:
    """Writes a zip file, or a tar file compressed as its name says."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    mode = "w" if path.suffix == ".tar" else f"w:{path.suffix[1:]}"
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name.rstrip("/"))
            info.size = len(content)
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            archive.addfile(info, io.BytesIO(content))
    return path
