"""Finds and reads weight files: safetensors, npz, torch's through torch. Nothing is unpickled."""

from __future__ import annotations

import os
import pathlib
import re
import zipfile
import zlib
from collections.abc import Mapping

import ml_dtypes  # noqa: F401  teaches numpy bfloat16
import numpy as np

from vp_jax.backbones import hub
from vp_jax.errors import UserError

TORCH_SUFFIXES = (".pt", ".pth", ".bin")
SUFFIXES = (".safetensors", ".npz", *TORCH_SUFFIXES)


def find(weights: str | os.PathLike[str], *, tokenizer: bool = True) -> pathlib.Path:
    """The path of the weight file that `weights` names.

    Args:
      weights: a file, a folder with one, or `owner/name` on the Hugging Face Hub. What exists, has
        a weight file's suffix or begins with `.`, `/` or `~` is local.
      tokenizer: whether the model needs one beside its weights, see `hub.find`.

    Raises:
      UserError: there is none; the message says where it was looked for.
    """
    path = pathlib.Path(weights).expanduser()
    if path.is_dir():
        return _find_in_folder(path)
    if path.is_file():
        return path
    text = os.fspath(weights)
    local = isinstance(weights, os.PathLike) or text.endswith(SUFFIXES) or text[:1] in tuple("./~")
    if not local and re.fullmatch(r"[\w.-]+/[\w.-]+", text):
        return hub.find(text, tokenizer=tokenizer)
    raise UserError(
        f"There is no weight file or folder {text} (that is, {path.absolute()}). Weights are a "
        f"file ({', '.join(SUFFIXES)}), a folder with one, or owner/name on the Hugging Face Hub."
    )


def _find_in_folder(folder: pathlib.Path) -> pathlib.Path:
    for name in hub.WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    if (folder / "model.safetensors.index.json").is_file():
        raise UserError(
            f"The weights in {folder} are in several files (model.safetensors.index.json), which "
            "is not supported: save them as one model.safetensors."
        )
    for suffix in SUFFIXES:
        found = sorted(folder.glob(f"*{suffix}"))
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(path.name for path in found)
            raise UserError(f"{folder} has several weight files, {names}: name the one you want.")
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
    raise UserError(
        f"There are no weights in {folder}. Looked for {', '.join(hub.WEIGHT_FILES)}, and for one "
        f"file that ends in {', '.join(SUFFIXES)}. In it: {there}."
    )


def read(path: pathlib.Path) -> Mapping[str, np.ndarray]:
    """The tensors of a file, by name, in the dtypes they are stored in.

    Safetensors may hold bfloat16; `.npz` files are read with `allow_pickle=False`. A torch file is
    read by `torch.load(weights_only=True)`, or by `torch.jit.load` where it is a TorchScript
    archive, as OpenAI's are; bfloat16 becomes float32.

    Raises:
      UserError: the file is empty, cut off or of another kind, or torch is needed and missing.
    """
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty: delete it and fetch it again.")
    if path.suffix == ".npz":
        return _read_npz(path)
    return _read_torch(path) if path.suffix in TORCH_SUFFIXES else _read_safetensors(path)


def _read_npz(path: pathlib.Path) -> Mapping[str, np.ndarray]:
    try:
        if not zipfile.is_zipfile(path):  # numpy takes anything else for a pickle or one array
            raise zipfile.BadZipFile("it is no zip archive")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if others := [name for name, x in arrays.items() if not isinstance(x, np.ndarray)]:
            raise ValueError(f"it has other things in it: {', '.join(others[:5])}")
        return arrays
    except (
        OSError,
        ValueError,
        RuntimeError,  # encrypted, or compressed in a way that is not known
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
    ) as error:
        raise UserError(
            f"{path} is not a whole .npz file of plain arrays ({error}): fetch it again. Files "
            "with Python objects in them are refused, since reading those can run code."
        ) from error


def _read_safetensors(path: pathlib.Path) -> Mapping[str, np.ndarray]:
    import safetensors
    import safetensors.numpy

    try:
        return safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        with path.open("rb") as file:
            pointer = file.read(40).startswith(b"version https://git-lfs")
        what = (
            "It is a Git LFS pointer, not the file itself: run `git lfs pull` where it came from."
            if pointer
            else f"Its {path.stat().st_size:,} bytes may be the beginning of a download that broke "
            "off, or another format: delete it and fetch it again."
        )
        raise UserError(f"{path} is not a whole safetensors file ({error}). {what}") from error


def _read_torch(path: pathlib.Path) -> Mapping[str, np.ndarray]:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"Reading {path} needs torch, which is not installed. Install it (pip install torch), "
            "or give the same weights as .safetensors, for example those of timm/*.openai on the "
            "Hugging Face Hub, which need no torch."
        ) from error
    try:
        if _is_torchscript(path):
            state = torch.jit.load(os.fspath(path), map_location="cpu").state_dict()
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError and others
        raise UserError(
            f"{path} is not a whole torch file of plain tensors ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else 'no message'}). Fetch it again; files "
            "with other objects in them are refused, since reading those can run code."
        ) from error
    not_tensors = [] if isinstance(state, Mapping) else ["the top level"]
    if not not_tensors:
        not_tensors = [str(key) for key, x in state.items() if not isinstance(x, torch.Tensor)]
    if not_tensors:
        raise UserError(
            f"{path} is not a state dict, a flat dict of tensors; other things are in it: "
            f"{', '.join(not_tensors[:5])}. Save the model's state dict alone."
        )
    return {
        name: (x.float() if x.dtype == torch.bfloat16 else x).detach().numpy()
        for name, x in state.items()
    }


def _is_torchscript(path: pathlib.Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())
