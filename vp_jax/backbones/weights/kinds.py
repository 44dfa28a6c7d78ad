"""What a weight file is by its content, whatever its name says.

Files of other kinds are named as what they are: they are whole, and of no use here.
"""

from __future__ import annotations

import codecs
import pathlib
import re
import zipfile
from collections.abc import Sequence

from vp_jax.errors import UserError, brief

ZIP_ERRORS = (zipfile.BadZipFile, ValueError, RuntimeError, EOFError, OverflowError)

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_TORCH_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"  # of torch.save before its version 1.6
_LEVELDB = bytes.fromhex("57fb808b247547db")  # ends the index of a TensorFlow checkpoint
_SAME_MODEL = "take the same model's .safetensors, .npz or torch file"
_DECOMPRESS = "decompress it and name what comes out"
_UNPACK = "unpack it and name the weight file in it"

_BEGINNINGS: tuple[tuple[bytes | tuple[bytes, ...], str, str], ...] = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer, not the file itself",
        "run `git lfs pull` where it came from",
    ),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes them", _SAME_MODEL),
    (b"GGUF", "a GGUF file, with weights packed for llama.cpp", _SAME_MODEL),
    (
        b"\x93NUMPY",
        "a single array of NumPy",
        "save all tensors by name in one file with numpy.savez",
    ),
    (b"\x1f\x8b", "a file compressed with gzip", _DECOMPRESS),
    (b"BZh", "a file compressed with bzip2", _DECOMPRESS),
    (b"\xfd7zXZ\0", "a file compressed with xz", _DECOMPRESS),
    (b"\x28\xb5\x2f\xfd", "a file compressed with Zstandard", _DECOMPRESS),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"MATLAB 5.0 MAT-file", "a file of MATLAB", _SAME_MODEL),
    (b"model_checkpoint_path:", "the list of a TensorFlow checkpoint's files", _SAME_MODEL),
    ((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"%PDF"), "a picture or document", ""),
)
"""What files of a kind begin with, what they are, and what to do instead."""


def kind(path: pathlib.Path) -> str | None:
    """Tells what a file holds by its first bytes.

    Returns:
      `"safetensors"`, `"npz"`, `"torch"`, `"torchscript"`, or None where they do not tell.

    Raises:
      UserError: the file is empty, cannot be read, is of another kind, which is named, or is a zip
        archive without its end.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(1024)
            file.seek(max(0, size - len(_LEVELDB)))
            end = file.read()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    if not start:
        raise UserError(f"{path} is empty: fetch it again.")
    if start[4:9] == b"\0\0\0\0{":
        return "safetensors"
    if start.startswith(_ZIP):
        return _kind_of_zip(path, start)
    if _TORCH_MAGIC in start[:32]:
        return "torch"
    other = _other(path.name, start, end)
    if other is not None:
        raise _another(path, *other)
    return None


def _another(path: pathlib.Path, what: str, do: str) -> UserError:
    return UserError(
        f"{path} is no weight file that is read here, but another format: it is {what}"
        f"{'; ' + do if do else ''}."
    )


def _kind_of_zip(path: pathlib.Path, start: bytes) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (*ZIP_ERRORS, NotImplementedError) as error:
        first = start[30 : 30 + int.from_bytes(start[26:28], "little")]
        what = "torch file" if b"/" in first else "zip archive"
        what = ".npz file of plain arrays" if first.endswith(b".npy") else what
        raise UserError(
            f"{path} is not a whole {what} (it is no zip archive to its end: {brief(error)}); "
            "the download may have broken off: fetch it again."
        ) from error
    if any(re.fullmatch(r"(.*/)?data\.pkl", name) for name in names):
        scripted = any(name.endswith("/constants.pkl") for name in names)
        return "torchscript" if scripted else "torch"
    if not names or any(name.endswith(".npy") for name in names):
        return "npz"
    if "model.weights.h5" in names:
        raise _another(path, "a model of Keras (.keras)", _SAME_MODEL)
    raise _another(path, f"a zip archive of {_some(names)}", _UNPACK)


def _other(name: str, start: bytes, end: bytes) -> tuple[str, str] | None:
    """What a file is that is read by nothing here, and what to do instead."""
    for beginning, what, do in _BEGINNINGS:
        if start.startswith(beginning):
            return what, do
    if start[257:262] == b"ustar":
        return "a tar archive", _UNPACK
    if start[:1] == b"\x80" and start[1:2] in b"\2\3\4\5":
        return (
            "a Python pickle that torch did not write, which is not read, since that can run code",
            "where you trust it, load it yourself and save its arrays with numpy.savez",
        )
    if end == _LEVELDB or re.search(r"\.data-\d+-of-\d+$", name):
        return "a part of a TensorFlow checkpoint", _SAME_MODEL
    if start[4:8] == b"TFL3":
        return "a model of TensorFlow Lite", _SAME_MODEL
    if name.endswith(".pb") or start.startswith(b"\x08\x01\x12"):
        return "a graph or saved model of TensorFlow", _SAME_MODEL
    if name.endswith(".onnx") or _is_onnx(start):
        return "an ONNX model", _SAME_MODEL
    if _is_msgpack(start):
        return (
            "a msgpack file, as Flax writes them",
            "take the same model's .safetensors, .npz or torch file, or load it with "
            "flax.serialization.msgpack_restore and save its arrays with numpy.savez",
        )
    if not start.strip(b"\0"):
        return (
            "a file that begins with zeros only, as one that was reserved for a download",
            "fetch it again",
        )
    return _text(start)


def _is_onnx(start: bytes) -> bool:
    """Whether it begins with the version of a format and the name of a producer."""
    found = re.match(rb"\x08[\x02-\x1f]\x12([\x01-\x40])", start)
    return found is not None and start[4 : 4 + found[1][0]].isalnum()


def _is_msgpack(start: bytes) -> bool:
    """Whether it begins with a map whose first key is a name."""
    first = start[0]
    place = 1 if 0x80 < first <= 0x8F else {0xDE: 3, 0xDF: 5}.get(first, len(start))
    if len(start) <= place + 1:
        return False
    marker = start[place]
    if 0xA0 < marker <= 0xBF:
        key = start[place + 1 : place + 1 + (marker & 31)]
    elif marker == 0xD9:
        key = start[place + 2 : place + 2 + start[place + 1]]
    else:
        return False
    return bool(key) and key.isascii() and key.decode().isprintable()


def _text(start: bytes) -> tuple[str, str] | None:
    """What a text is, and what to do; None where it is none."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(start)
    except UnicodeDecodeError:
        return None
    text = " ".join(text.split())
    if len(text) < 4 or not text.isprintable():
        return None
    if text.startswith("<"):
        web_page = re.match(r"<(!doctype html|html|head|body|meta|!--)", text, re.IGNORECASE)
        return (
            "a web page (HTML)" if web_page else "an XML text",
            "its address gave an error or asked for a login: fetch it again, with a browser or "
            "`curl --fail --location`",
        )
    if text[0] in "{[":
        if '"weight_map"' in text:
            return (
                "the index of weights that are in several files",
                "save them as one model.safetensors",
            )
        return "a JSON text", "name the weight file beside it"
    return f"a text that begins with {text[:60]!r}", "fetch the weight file itself"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
