"""Members of zip and tar files, read one by one from where they lie; nothing is extracted."""

from __future__ import annotations

import bz2
import functools
import gzip
import lzma
import pathlib
import posixpath
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

from vp_jax.data.files.random_file import RandomFile, TemporaryCopy
from vp_jax.errors import UserError

MAX_FILE_BYTES = 1 << 31
"""Larger files are no images."""

BOMB_BYTES, BOMB_RATIO = 1 << 26, 100
"""What is larger decompressed, and by so many times, is no image but made to fill the memory."""

_BOMB_ARCHIVE_BYTES = 1 << 30
"""Likewise of a compressed tar file, which is decompressed to disk."""

_COMPRESSED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
"""How a compressed tar file begins, and what opens it."""

_COPY_BYTES = 1 << 20


class Unreadable(Exception):
    """Why a file cannot be read, in words for a message."""


class TarMember(NamedTuple):
    """Where a file lies in an uncompressed tar file; None for `offset` says why it cannot be read.

    Attributes:
      offset: of its first byte.
      size: in bytes.
      reason: why it cannot be read, where there is no offset.
    """

    offset: int | None
    size: int = 0
    reason: str = ""

    def read(self, file: RandomFile) -> bytes:
        """Its content."""
        if self.offset is None:
            raise Unreadable(self.reason)
        check_file_size(self.size)
        return file.read(self.size, self.offset)


class ZipMember(NamedTuple):
    """Where a file lies in a zip file.

    Attributes:
      header: the place of its own header, which the content follows.
      stored: its size in the archive.
      size: its size decompressed.
      method: how it is compressed, zip's number.
      checksum: CRC-32 of the content.
      encrypted: whether it needs a password.
    """

    header: int
    stored: int
    size: int
    method: int
    checksum: int
    encrypted: bool

    def read(self, file: RandomFile) -> bytes:
        """Its content."""
        if self.encrypted:
            raise Unreadable("it is encrypted")
        check_file_size(max(self.stored, self.size))
        if self.size > max(BOMB_BYTES, BOMB_RATIO * self.stored):
            raise Unreadable(
                f"{self.stored:,} bytes are decompressed to {self.size:,}, which is no image"
            )
        content = file.read(self.stored, self.start(file))
        if self.method == zipfile.ZIP_DEFLATED:
            content = zlib.decompressobj(-15).decompress(content, self.size + 1)
        elif self.method == zipfile.ZIP_BZIP2:
            content = bz2.BZ2Decompressor().decompress(content, self.size + 1)
        elif self.method != zipfile.ZIP_STORED:
            raise Unreadable(f"it is compressed by zip's method {self.method}; use deflate instead")
        if len(content) != self.size or zlib.crc32(content) != self.checksum:
            raise Unreadable("the archive is damaged there, the checksum is wrong")
        return content

    def start(self, file: RandomFile) -> int:
        """Where its content begins."""
        header = file.read(30, self.header)
        if not header.startswith(b"PK\x03\x04"):
            raise Unreadable("the archive is damaged there, it has no header")
        return self.header + len(header) + sum(struct.unpack("<HH", header[26:]))


def check_file_size(size: int) -> None:
    """Refuses to read what is no image by its size.

    Raises:
      Unreadable: there is too much of it.
    """
    if size > MAX_FILE_BYTES:
        raise Unreadable(f"it is {size:,} bytes long, too long for an image")


def list_zip(
    path: pathlib.Path,
) -> tuple[RandomFile, dict[str, ZipMember], list[str]]:
    """The files of a zip file by name, and the folders that have an entry of their own."""
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    members = {m.filename: zip_member(m) for m in infos if not m.is_dir()}
    return RandomFile(path), members, [m.filename for m in infos if m.is_dir()]


def zip_member(info: zipfile.ZipInfo) -> ZipMember:
    """What the list of a zip file says about a member."""
    return ZipMember(
        info.header_offset,
        info.compress_size,
        info.file_size,
        info.compress_type,
        info.CRC,
        bool(info.flag_bits & 1),
    )


def list_tar(
    path: pathlib.Path, start: bytes
) -> tuple[RandomFile, dict[str, TarMember], list[str]]:
    """The files of a tar file by name, and the folders that have an entry of their own.

    Links lead to what they stand for. A compressed one is decompressed into a temporary file, since
    it has no random access.

    Args:
      path: of the archive.
      start: its first bytes, which say how it is compressed.

    Raises:
      UserError: it is damaged, or the disk is full.
    """
    magic = next((magic for magic in _COMPRESSED if start.startswith(magic)), None)
    if magic is None:
        file: RandomFile = RandomFile(path)
        with path.open("rb") as opened:
            infos = _tar_infos(path, opened)
    else:
        file = copy = TemporaryCopy(path, functools.partial(_decompress, path, magic))
        with copy.reader() as opened:
            infos = _tar_infos(path, opened)
    by_name = {normal(info.name): info for info in infos}  # The last of one name counts.
    files = [info for info in infos if info.isreg() or info.islnk() or info.issym()]
    members = {info.name: _tar_member(info, by_name) for info in files}
    return file, members, [info.name for info in infos if info.isdir()]


def normal(name: str) -> str:
    """A member's path without empty parts and `.`."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _decompress(path: pathlib.Path, magic: bytes, file: BinaryIO) -> None:
    most = max(_BOMB_ARCHIVE_BYTES, BOMB_RATIO * path.stat().st_size)
    with _COMPRESSED[magic](path) as compressed:
        while part := compressed.read(_COPY_BYTES):
            file.write(part)
            if file.tell() > most:
                raise UserError(
                    f"{path} is decompressed to more than {BOMB_RATIO} times its size, as no "
                    "archive of images is: get it again"
                )


def _tar_infos(path: pathlib.Path, file: BinaryIO) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=file, mode="r:") as archive:
        infos = archive.getmembers()
        # tarfile takes whatever it does not understand for the end, which is a block of zeros.
        file.seek(archive.offset)
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise UserError(
            f"{path} is damaged: it stops or cannot be understood after {len(infos)} members. Get "
            "it again"
        )
    return infos


def _tar_member(info: tarfile.TarInfo, by_name: Mapping[str, tarfile.TarInfo]) -> TarMember:
    followed = 0
    while info.islnk() or info.issym():
        # A hard link names its target from the top, a symbolic one from its own folder.
        folder = "" if info.islnk() else posixpath.dirname(info.name)
        target = normal(posixpath.normpath(posixpath.join(folder, info.linkname)))
        if target not in by_name or info.linkname.startswith("/") or followed > 32:
            return TarMember(None, reason=f"it is a link to {info.linkname}, which is not there")
        info, followed = by_name[target], followed + 1
    if not info.isreg() or info.issparse():
        return TarMember(None, reason="it is no ordinary file")
    return TarMember(info.offset_data, info.size)
