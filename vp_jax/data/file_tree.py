"""A folder, a zip file or a tar file as a tree of files, read one by one; nothing is extracted."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pathlib
import posixpath
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from vp_jax.data.download import brief
from vp_jax.errors import UserError

_COMPRESSED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
"""How a compressed tar file begins, and what opens it."""


class FileTree(NamedTuple):
    """The files below a folder or in an archive.

    Hidden files and folders (`.name` and `__MACOSX`) are left out.

    Attributes:
      path: of the folder or archive.
      files: sorted paths relative to it, with `/`.
      folders: likewise; those of files are among them, and so are empty ones.
      read: the bytes of one of the files; raises UserError if it cannot be read.
    """

    path: pathlib.Path
    files: tuple[str, ...]
    folders: frozenset[str]
    read: Callable[[str], bytes]


def open_tree(path: pathlib.Path) -> FileTree:
    """Lists a folder or an archive: .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz.

    Archives are known by their content. Files are read when asked for; a compressed tar file is
    held in memory decompressed, since it has no random access.

    Raises:
      UserError: there is no such folder or file, or it cannot be read, is damaged, or is no
        archive.
    """
    if path.is_dir():
        return _open_folder(path)
    if not path.is_file():
        raise UserError(
            f"there is no folder and no archive {path}; name one with --config.task.data_dir=PATH"
        )
    try:
        with path.open("rb") as file:
            start = file.read(8)
        return _open_zip(path) if start.startswith(b"PK") else _open_tar(path, start)
    except (UserError, MemoryError):
        raise
    except Exception as e:  # zip, tar and four decompressors, each with types of its own.
        raise UserError(
            f"{path} cannot be read ({brief(e)}): it is damaged, or not one of .zip, .tar, "
            ".tar.gz, .tar.bz2 and .tar.xz"
        ) from e


def _open_folder(root: pathlib.Path) -> FileTree:
    files: list[str] = []
    folders: list[str] = []
    try:
        for name, is_folder in _walk(root, "", ()):
            (folders if is_folder else files).append(name)
    except OSError as e:
        raise UserError(f"the folder {root} cannot be listed: {brief(e)}") from e
    read = _reader(root, lambda name: (root / name).read_bytes())
    return FileTree(root, tuple(sorted(files)), frozenset(folders), read)


def _walk(
    folder: str | os.PathLike[str], prefix: str, above: tuple[tuple[int, int], ...]
) -> Iterator[tuple[str, bool]]:
    """Everything below a folder, as relative path and whether it is a folder.

    Links are followed, but for those to a folder that the link itself is in.
    """
    status = os.stat(folder)
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_hidden(entry.name):
                continue
            name, is_folder = prefix + entry.name, entry.is_dir()
            yield name, is_folder
            if is_folder:
                yield from _walk(entry.path, name + "/", (*above, identity))


def _open_zip(path: pathlib.Path) -> FileTree:
    archive = zipfile.ZipFile(path)
    members = archive.infolist()
    return _archive_tree(
        path,
        {m.filename: m for m in members if not m.is_dir()},
        [m.filename for m in members if m.is_dir()],
        archive.read,
    )


def _open_tar(path: pathlib.Path, start: bytes) -> FileTree:
    opener = next((f for magic, f in _COMPRESSED.items() if start.startswith(magic)), None)
    if opener is None:
        archive = tarfile.open(path, "r:")
    else:
        with opener(path) as compressed:
            archive = tarfile.open(fileobj=io.BytesIO(compressed.read()), mode="r:")
    members = archive.getmembers()
    # tarfile takes whatever it does not understand for the end, which is a block of zeros.
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise UserError(
            f"{path} is damaged: it stops or cannot be understood after "
            f"{len(members)} members. Get it again"
        )

    def read(member: tarfile.TarInfo) -> bytes:
        content = archive.extractfile(member)  # Of a link, what it points to.
        if content is None:
            raise OSError("it is no file")
        return content.read()

    return _archive_tree(
        path,
        {m.name: m for m in members if m.isreg() or m.islnk() or m.issym()},
        [m.name for m in members if m.isdir()],
        read,
    )


def _archive_tree(
    path: pathlib.Path,
    members: Mapping[str, Any],
    folders: Iterable[str],
    read: Callable[[Any], bytes],
) -> FileTree:
    """The tree of an archive whose `members` are files, read by `read(member)`.

    Of several members of one name the last counts, as when they are extracted.
    """
    by_path = {_normal(name): member for name, member in members.items()}
    by_path = {name: member for name, member in by_path.items() if name is not None}
    found: set[str] = set()
    for folder in [_normal(name) for name in folders] + [posixpath.dirname(n) for n in by_path]:
        while folder and folder not in found:
            found.add(folder)
            folder = posixpath.dirname(folder)
    reader = _reader(path, lambda name: read(by_path[name]))
    return FileTree(path, tuple(sorted(by_path)), frozenset(found), reader)


def _normal(name: str) -> str | None:
    """A member's path without empty parts and `.`; None if it is hidden.

    A part `..` is a name like others: nothing is ever written under it.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return None if any(map(_is_hidden, parts)) else "/".join(parts)


def _is_hidden(name: str) -> bool:
    return name == "__MACOSX" or (name.startswith(".") and name != "..")


def _reader(path: pathlib.Path, read: Callable[[str], bytes]) -> Callable[[str], bytes]:
    def checked(name: str) -> bytes:
        try:
            return read(name)
        except MemoryError:
            raise
        except Exception as e:
            raise UserError(
                f"{name} in {path} cannot be read ({brief(e)}): replace or remove it"
            ) from e

    return checked
