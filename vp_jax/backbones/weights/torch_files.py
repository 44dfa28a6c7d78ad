"""Reads torch's files where torch is installed: tensors only, whatever else is in them."""

from __future__ import annotations

import argparse
import os
import pathlib
import pickletools
import re
import types
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vp_jax import distributed
from vp_jax.backbones.weights import state_dicts
from vp_jax.errors import UserError, brief


def read(path: pathlib.Path, *, script: bool) -> Mapping[str, np.ndarray]:
    """The tensors of the model in a file, by name; bfloat16 becomes float32.

    What a training program saves beside its model is left out, and one line on stderr says so.

    Args:
      path: of the file.
      script: whether it is a TorchScript archive, as OpenAI's are, which `torch.jit.load` reads;
        others are read by `torch.load(weights_only=True)`.

    Raises:
      UserError: torch is missing, the file is damaged, or it holds other objects than tensors,
        numbers, texts and the settings of a command line.
    """
    torch = _torch(path)
    try:
        loaded = _load(torch, path, script)
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError and others
        raise UserError(_refusal(path, error)) from error
    try:
        tensors, entries, left_out = state_dicts.find(loaded, torch.is_tensor)
    except ValueError as error:
        raise UserError(
            f"{path} is not a state dict, a dict of tensors by name: {error}. Save the model's "
            "state dict alone."
        ) from error
    _say(path, entries, left_out)
    arrays, strange = {}, []
    for name, tensor in tensors.items():
        try:
            arrays[name] = _array(torch, tensor)
        except (TypeError, RuntimeError):
            strange.append(f"{name} ({tensor.dtype}, {tensor.layout})")
    if strange:
        raise UserError(
            f"{path} has tensors that are not plain numbers: {_some(strange)}. Save them as "
            "float32."
        )
    return arrays


def _torch(path: pathlib.Path) -> types.ModuleType:
    try:
        import torch
    except (ImportError, OSError) as error:
        missing = isinstance(error, ImportError) and error.name in ("torch", None)
        why = "is not installed" if missing else f"cannot be imported ({error})"
        raise UserError(
            f"Reading {path} needs torch, which {why}: install it (pip install torch), or give "
            "the same weights as .safetensors, which need no torch."
        ) from error
    return torch


def _load(torch: Any, path: pathlib.Path, script: bool) -> Any:
    if script:
        _check_lengths(path)
        return torch.jit.load(os.fspath(path), map_location="cpu").state_dict()
    # A Namespace is what programs keep their command line in: attributes, and no code.
    with path.open("rb") as file, torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(file, map_location="cpu", weights_only=True)  # torch believes names


def _check_lengths(path: pathlib.Path) -> None:
    """Goes through the pickles of a TorchScript archive without making anything of them: torch
    would take memory for whatever length a damaged one claims.

    Raises:
      Exception: what zipfile and pickletools raise for damage.
    """
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".pkl"):
                for _ in pickletools.genops(archive.read(name)):
                    pass


def _refusal(path: pathlib.Path, error: Exception) -> str:
    text = str(error)
    found = re.search(r"GLOBAL ([\w.]+)", text)
    if found:
        return (
            f"{path} is not a torch file of plain tensors: it holds a Python object, "
            f"{found.group(1)}, which is refused, since reading it can run code. Where you trust "
            "the file, load it with torch.load(..., weights_only=False) and save the model's "
            "state dict alone."
        )
    return (
        f"{path} is not a whole torch file of plain tensors ({brief(error)}). "
        "Fetch it again; files with other objects in them are refused, since reading those can "
        "run code."
    )


def _array(torch: Any, tensor: Any) -> np.ndarray:
    """The numbers of a tensor, without taking memory for those that it repeats."""
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise TypeError("it repeats its numbers")
        tensor = tensor.float()
    return tensor.numpy()


def _say(path: pathlib.Path, entries: Sequence[str], left_out: Sequence[str]) -> None:
    if entries:
        where = f"weights are taken from {' / '.join(map(repr, entries))}"
        rest = f"; left out is what is beside them: {_some(left_out)}" if left_out else ""
        distributed.say(f"{path.name}: {where}{rest}")
    elif left_out:
        distributed.say(f"{path.name}: left out is what is no tensor: {_some(left_out)}")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
