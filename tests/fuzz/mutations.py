"""Damage done to files at random: to their bytes, and to parts that a checksum would protect."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Sequence

import numpy as np

Rng = np.random.Generator

NUMBERS = (
    *(0, 1, 2, 7, 127, 128, 255, 256, 32767, 32768, 65535, 65536),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 10**12),
)
MOST_CHANGES = 6


def pick(rng: Rng, choices: Sequence):
    """One of several things of any type."""
    return choices[int(rng.integers(len(choices)))]


def mutate_text(rng: Rng, content: bytes, words: Sequence[bytes], others: Sequence[bytes] = ()):
    """As `mutate`; what is written over or between is readable three times out of four."""
    if rng.random() < 0.25:
        return mutate(rng, content, words, others)
    for _ in range(pick(rng, (1, 1, 1, 2, MOST_CHANGES))):
        at = int(rng.integers(len(content) + 1))
        length = int(rng.integers(9))
        kept = content[at + length :] if rng.random() < 0.5 else content[at:]
        new = pick(rng, (b"", pick(rng, words), content[at : at + 20], *others[:1]))
        content = content[:at] + new + kept
    return content


def mutate(rng: Rng, content: bytes, words: Sequence[bytes] = (), others: Sequence[bytes] = ()):
    """A few random changes of a file's bytes.

    Args:
      rng: decides everything.
      content: of the file.
      words: what means something in files of its kind, written over or between its bytes.
      others: files that pieces are taken from.
    """
    for _ in range(pick(rng, (1, 1, 1, 2, MOST_CHANGES))):
        content = _change(rng, content, words, others)
    return content


def _change(rng: Rng, content: bytes, words: Sequence[bytes], others: Sequence[bytes]) -> bytes:
    # Half of all changes are near the beginning, where headers are.
    size = len(content) if rng.random() < 0.5 else min(len(content), 200)
    at = int(rng.integers(size + 1))
    length = int(rng.integers(1, 1 + pick(rng, (1, 4, 16, 64, 1024))))
    piece = content[at : at + length]
    match int(rng.integers(10)):
        case 0 | 1:
            flipped = bytes(b ^ (1 << int(rng.integers(8))) for b in content[at : at + 1])
            return content[:at] + flipped + content[at + 1 :]
        case 2:
            return content[:at]
        case 3:
            return content[:at] + content[at + length :]
        case 4:
            return content[:at] + piece * int(rng.integers(2, 5)) + content[at + length :]
        case 5:
            return content[:at] + rng.bytes(length) + content[at + length :]
        case 6:
            kind = pick(rng, ("<H", ">H", "<I", ">I", "<Q", ">Q", "B"))
            most = 256 ** struct.calcsize(kind)
            number = struct.pack(kind, pick(rng, NUMBERS) % most)
            return content[:at] + number + content[at + len(number) :]
        case 7 if words:
            word = pick(rng, words)
            behind = at + (len(word) if rng.random() < 0.5 else 0)
            return content[:at] + word + content[behind:]
        case 8 if others:
            other = pick(rng, others)
            begin = int(rng.integers(len(other) + 1))
            return content[:at] + other[begin : begin + length] + content[at:]
        case _:
            return content[:at] + bytes(length) + content[at + length :]


def mutate_png(rng: Rng, content: bytes) -> bytes:
    """Changes chunks of a PNG file, and makes their checksums right again."""
    chunks, at = [], 8
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        chunks.append((content[at + 4 : at + 8], content[at + 8 : end]))
        at = end + 4
    number = int(rng.integers(len(chunks)))
    kind, data = chunks[number]
    match int(rng.integers(4)):
        case 0:
            chunks.insert(number, (kind, data))
        case 1:
            del chunks[number]
        case 2:
            kind = pick(rng, (b"sBIT", b"tRNS", b"PLTE", b"IDAT", b"acTL", b"eXIf", b"iCCP"))
            chunks.insert(number, (kind, rng.bytes(int(rng.integers(20)))))
        case _:
            chunks[number] = (kind, mutate(rng, data))
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    return content[:8] + b"".join(parts)


def mutate_zip(rng: Rng, content: bytes, words: Sequence[bytes] = ()) -> bytes:
    """Changes a member of a zip file, its name or how it is stored; checksums are right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    number = int(rng.integers(len(members)))
    name, data = members[number]
    match int(rng.integers(4)):
        case 0:
            members[number] = (_name(rng, name), data)
        case 1:
            del members[number]
        case 2:
            members.insert(number, (name, mutate(rng, data, words)))
        case _:
            members[number] = (name, mutate(rng, data, words))
    buffer = io.BytesIO()
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    with zipfile.ZipFile(buffer, "w", pick(rng, methods)) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name) if rng.random() < 0.2 else name, data)
    return buffer.getvalue()


def mutate_tar(rng: Rng, content: bytes) -> bytes:
    """Changes members of a tar file; the checksums of their headers are right."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = [(m, archive.extractfile(m).read() if m.isreg() else b"") for m in archive]
    number = int(rng.integers(len(members)))
    info, data = members[number]
    match int(rng.integers(5)):
        case 0:
            info.name = _name(rng, info.name)
        case 1:
            info.type = pick(rng, (b"0", b"1", b"2", b"3", b"5", b"6", b"7", b"S", b"x", b"g"))
            info.linkname = pick(rng, (info.name, "", "/etc/passwd", "../..", members[0][0].name))
        case 2:
            del members[number]
        case 3:
            members.insert(number, (info, data))
        case _:
            members[number] = (info, mutate(rng, data))
    buffer = io.BytesIO()
    kind = pick(rng, ("w:", "w:gz", "w:bz2", "w:xz"))
    formats = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    with tarfile.open(fileobj=buffer, mode=kind, format=pick(rng, formats)) as archive:
        for info, data in members:
            info.size = len(data) if info.isreg() else 0
            try:
                archive.addfile(info, io.BytesIO(data))
            except ValueError:  # such a name cannot be written
                continue
    return buffer.getvalue()


def _name(rng: Rng, name: str) -> str:
    folder, _, last = name.rpartition("/")
    return pick(
        rng,
        (
            f"/{name}",
            f"../{name}",
            f"{folder}/../{last}",
            f"a/b/{name}",
            last or "x",
            f"{name}/",
            name.upper(),
            f"{folder}//./{last}",
            f"{folder}\\{last}",
            f"{folder}/{'x' * 300}{last}",
            f"{folder}/\u00e9\u6f22\u200b\n{last}",
            f"__MACOSX/{folder}/._{last}",
            ".",
        ),
    )


def mutate_safetensors(rng: Rng, content: bytes) -> bytes:
    """Changes the header of a safetensors file; its length is right."""
    size = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    key = pick(rng, list(header))
    entry = header[key]
    match int(rng.integers(7)):
        case 0:
            del header[key]
        case 1:
            header[pick(rng, ("module.", "model.", "_orig_mod.", "x")) + key] = header.pop(key)
        case 2 if "dtype" in entry:
            kinds = ("F32", "F16", "BF16", "F64", "I8", "I64", "U8", "BOOL", "F8_E4M3", "F4", "?")
            entry["dtype"] = pick(rng, kinds)
        case 3 if entry.get("shape"):
            sizes = [*NUMBERS, -1, 1.5, "7", None, []]
            entry["shape"][int(rng.integers(len(entry["shape"])))] = pick(rng, sizes)
        case 4 if "data_offsets" in entry:
            entry["data_offsets"][int(rng.integers(2))] = pick(rng, [*NUMBERS, -1, "0", None])
        case 5:
            header[key] = pick(rng, ({}, [], None, 7, "x", {"dtype": "F32"}))
        case _:
            text = mutate(rng, json.dumps(header).encode())
            return struct.pack("<Q", len(text)) + text + data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def mutate_json(rng: Rng, value):
    """Changes something in a JSON value, at any depth."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = pick(rng, list(value))
        changed = dict(value)
        match int(rng.integers(6)):
            case 0:
                del changed[key]
            case 1:
                changed[f"{key}x"] = changed.pop(key)
            case _:
                changed[key] = mutate_json(rng, value[key])
        return changed
    if isinstance(value, list) and value and rng.random() < 0.5:
        at = int(rng.integers(len(value)))
        return [*value[:at], mutate_json(rng, value[at]), *value[at + 1 :]]
    return pick(
        rng,
        (
            *(None, True, False, 0, 1, -1, 2**31, 2**63, 2**70, 0.5, -0.0, 1e308, float("nan")),
            *("", "x", "None", "{}", "a {} {}", "\x00", "\u6f22", "9" * 400),
            *([], [1], ["x"], {}, {"x": 1}, [[]], [{}]),
        ),
    )
