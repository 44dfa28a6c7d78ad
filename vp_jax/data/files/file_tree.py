"""A folder, a zip file or a tar file as a tree of files, read one by one; nothing is extracted."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import posixpath
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from vp_jax.data.files import archives
from vp_jax.data.files.archives import TarMember, Unreadable, ZipMember
from vp_jax.data.files.random_file import RandomFile
from vp_jax.errors import UserError, brief

Stamp = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds; (-1, -1) where there is no file."""

_JUNK = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found")
"""Folders that systems make for themselves."""


class Reader(Protocol):
    """Reads files by name; several threads may do so at once, and it may be pickled."""

    def __call__(self, name: str) -> bytes: ...


@dataclasses.dataclass(frozen=True, eq=False)
class FileTree:
    """The files below a folder or in an archive.

    Hidden files and folders (`.name`) and those that systems make (`__MACOSX`) are left out.

    Attributes:
      path: of the folder or archive.
      files: sorted paths relative to it, with `/`.
      folders: likewise; those of files are among them, and so are empty ones.
      read: the bytes of one of the files; raises UserError if it cannot be read.
      stamps: of the files of a folder; empty for an archive, which has one of its own.
      sizes: of the files in bytes; -1 for a link to nothing.
    """

    path: pathlib.Path
    files: tuple[str, ...]
    folders: frozenset[str]
    read: Reader
    stamps: Mapping[str, Stamp]
    sizes: Mapping[str, int]

    def fingerprint(self, names: Iterable[str]) -> str:
        """A text that is another one when one of these files, or the archive, has changed."""
        lines = [f"{name}\0{self.stamps.get(name, '')}" for name in sorted(names)]
        if not self.stamps:
            lines.append(f"{self.path}\0{stamp(self.path)}")
        return digest(lines)


def digest(lines: Iterable[str]) -> str:
    """A short text that stands for some lines."""
    content = "\n".join(lines).encode("utf-8", "surrogateescape")
    return hashlib.sha256(content).hexdigest()[:16]


def stamp(path: str | os.PathLike[str]) -> Stamp:
    """Size and time of a file, links followed."""
    try:
        status = os.stat(path)
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def printable(name: str) -> str:
    """A file's name for messages, with a mark for what is not UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def open_tree(path: pathlib.Path) -> FileTree:
    """Lists a folder or an archive: .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz.

    Archives are known by their content. Files are read when asked for; a compressed tar file is
    decompressed into a temporary file, since it has no random access.

    Raises:
      UserError: there is no such folder or file, or it cannot be read, is damaged, or is no
        archive; or there is no space to decompress it.
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
        members: Mapping[str, archives.ZipMember] | Mapping[str, archives.TarMember]
        if start.startswith(b"PK"):
            content, members, folders = archives.list_zip(path)
        else:
            content, members, folders = archives.list_tar(path, start)
    except (UserError, MemoryError):
        raise
    except Exception as e:  # zip, tar and four decompressors, each with types of its own.
        raise UserError(
            f"{path} cannot be read ({brief(e)}): it is damaged, or not one of .zip, .tar, "
            ".tar.gz, .tar.bz2 and .tar.xz"
        ) from e
    return _archive_tree(path, content, members, folders)


def _open_folder(root: pathlib.Path) -> FileTree:
    files: dict[str, Stamp] = {}
    folders: list[str] = []
    try:
        for name, found in _walk(root, "", ()):
            if found is None:
                folders.append(name)
            else:
                files[name] = found
    except OSError as e:
        raise UserError(f"the folder {root} cannot be listed: {brief(e)}") from e
    sizes = {name: size for name, (size, _) in files.items()}
    reader = ReadFolder(root)
    return FileTree(root, tuple(sorted(files)), frozenset(folders), reader, files, sizes)


def _walk(
    folder: str | os.PathLike[str], prefix: str, above: tuple[tuple[int, int], ...]
) -> Iterator[tuple[str, Stamp | None]]:
    """Everything below a folder, as relative path and stamp, which folders have none of.

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
            name = prefix + entry.name
            try:
                is_folder, status = entry.is_dir(), entry.stat()
            except OSError:  # A link to nothing, or to itself.
                yield name, (-1, -1)
                continue
            if is_folder:
                yield name, None
                yield from _walk(entry.path, name + "/", (*above, identity))
            else:
                yield name, (status.st_size, status.st_mtime_ns)


def _archive_tree(
    path: pathlib.Path,
    content: RandomFile,
    members: Mapping[str, TarMember | ZipMember],
    folders: Iterable[str],
) -> FileTree:
    """The tree of an archive; of several members of one name the last counts."""
    by_path = {archives.normal(name): member for name, member in members.items()}
    by_path = {name: m for name, m in by_path.items() if not _has_hidden_part(name)}
    named = [archives.normal(name) for name in folders]
    found: set[str] = set()
    for folder in [f for f in named if not _has_hidden_part(f)] + list(
        map(posixpath.dirname, by_path)
    ):
        while folder and folder not in found:
            found.add(folder)
            folder = posixpath.dirname(folder)
    reader = ReadArchive(path, content, by_path)
    sizes = {name: member.size for name, member in by_path.items()}
    return FileTree(path, tuple(sorted(by_path)), frozenset(found), reader, {}, sizes)


def _has_hidden_part(name: str) -> bool:
    """Whether a member is hidden. A part `..` is a name like others: nothing is ever written."""
    return any(map(_is_hidden, name.split("/")))


def _is_hidden(name: str) -> bool:
    return name in _JUNK or (name.startswith(".") and name != "..")


@dataclasses.dataclass(frozen=True)
class ReadFolder:
    """Reads the files of a folder by relative path."""

    root: pathlib.Path

    def __call__(self, name: str) -> bytes:
        path = os.path.join(self.root, name)
        try:
            return _content(path)
        except (Unreadable, OSError, ValueError) as e:
            raise _unreadable(name, self.root, _why(path, e)) from e


@dataclasses.dataclass(frozen=True)
class ReadArchive:
    """Reads the files of an archive by path."""

    path: pathlib.Path
    content: RandomFile
    members: Mapping[str, TarMember | ZipMember]

    def __call__(self, name: str) -> bytes:
        try:
            if name not in self.members:
                raise Unreadable("it is no file")
            return self.members[name].read(self.content)
        except (UserError, MemoryError):
            raise
        except Exception as e:  # Decompressors have types of their own.
            reason = str(e) if isinstance(e, Unreadable) else brief(e)
            raise _unreadable(name, self.path, reason) from e


def _content(path: str) -> bytes:
    # A pipe would make the program wait for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("it is no ordinary file")
        archives.check_file_size(status.st_size)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def _why(path: str, error: Exception) -> str:
    match error:
        case Unreadable():
            return str(error)
        case IsADirectoryError():
            return "it is a folder"
        case PermissionError():
            return "there is no permission to read it"
        case FileNotFoundError() if os.path.islink(path):
            return f"it is a link to {printable(os.readlink(path))}, which is not there"
        case FileNotFoundError():
            return "it is not there"
    return brief(error)  # ValueError: of a null character in the name.


def _unreadable(name: str, path: pathlib.Path, reason: str) -> UserError:
    return UserError(f"{printable(name)} in {path} cannot be read ({reason}): replace or remove it")
