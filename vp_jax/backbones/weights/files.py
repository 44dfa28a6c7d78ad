"""Finds and reads weight files: safetensors, npz, torch's through torch. Nothing is unpickled."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence

import ml_dtypes  # noqa: F401  teaches numpy bfloat16
import numpy as np

from vp_jax import distributed
from vp_jax.backbones.weights import hub, npz_files, state_dicts, torch_files
from vp_jax.backbones.weights import kinds as weight_kinds
from vp_jax.backbones.weights.table import Shape
from vp_jax.errors import UserError, brief
from vp_jax.host import files

SUFFIXES = hub.SUFFIXES
TORCH_SUFFIXES = SUFFIXES[2:]
TORCH_FILES = ("open_clip_pytorch_model.bin", "pytorch_model.bin")  # in folders of the Hub
_FOLDERS = {  # by a file that only they have
    "saved_model.pb": "a saved model of TensorFlow",
    "checkpoint": "a checkpoint of TensorFlow",
    "_CHECKPOINT_METADATA": "a checkpoint of orbax",
}


def find(weights: str | os.PathLike[str], *, tokenizer: bool = True) -> pathlib.Path:
    """The path of the weight file that `weights` names.

    Args:
      weights: a file, a folder with one, or `owner/name` on the Hugging Face Hub. What exists, has
        a weight file's suffix or begins with `.`, `/` or `~` is local.
      tokenizer: whether the model needs one beside its weights, see `hub.find`.

    Raises:
      UserError: there is none; the message says where it was looked for.
    """
    text = os.fspath(weights)
    path = files.expanded(weights)
    if path.is_dir():
        return _find_in_folder(path)
    if path.is_file():
        return path
    if path.name and path.with_name(f"{path.name}.index").is_file():
        raise UserError(
            f"{text} is a checkpoint of TensorFlow, which is not read here: take the same model's "
            ".safetensors, .npz or torch file."
        )
    if hub.is_repository(weights):
        return hub.find(text, tokenizer=tokenizer)
    raise UserError(
        f"There is no weight file or folder {text} (that is, {path.absolute()}). Weights are a "
        f"file ({', '.join(SUFFIXES)}), a folder with one, or owner/name on the Hugging Face Hub."
    )


def _find_in_folder(folder: pathlib.Path) -> pathlib.Path:
    for name in hub.WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    for index in sorted(folder.glob("*.index.json")):
        raise UserError(
            f"The weights in {folder} are in several files ({index.name}), which "
            "is not supported: save them as one model.safetensors."
        )
    for name in TORCH_FILES:
        if (folder / name).is_file():
            return folder / name
    for suffix in SUFFIXES:
        found = sorted(folder.glob(f"*{suffix}"))
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(path.name for path in found)
            raise UserError(f"{folder} has several weight files, {names}: name the one you want.")
    for name, what in _FOLDERS.items():
        if (folder / name).is_file():
            raise UserError(
                f"{folder} is {what}, which is not read here: take the same model's .safetensors, "
                ".npz or torch file."
            )
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
    raise UserError(
        f"There are no weights in {folder}. Looked for {', '.join(hub.WEIGHT_FILES)}, and for one "
        f"file that ends in {', '.join(SUFFIXES)}. In it: {there}."
    )


def read(path: pathlib.Path) -> Mapping[str, np.ndarray]:
    """The tensors of a file, by name, in the dtypes they are stored in.

    Its content says what it is; its name counts where that does not tell. Safetensors may hold
    bfloat16; see `npz_files` and `torch_files` for the others.

    Raises:
      UserError: the file is empty, cut off or of another kind, or torch is needed and missing.
    """
    kind = weight_kinds.kind(path)
    if kind == "npz" or (kind is None and path.suffix == ".npz"):
        return npz_files.read(path)
    if kind in ("torch", "torchscript") or (kind is None and path.name.endswith(TORCH_SUFFIXES)):
        return torch_files.read(path, script=kind == "torchscript")
    return _read_safetensors(path, known=kind is not None)


def without_prefix(
    tensors: Mapping[str, np.ndarray], layouts: Sequence[Mapping[str, Shape]], path: pathlib.Path
) -> Mapping[str, np.ndarray]:
    """`state_dicts.without_prefix` of a file's tensors; one line on stderr says what was done."""
    tensors, prefix = state_dicts.without_prefix(tensors, layouts)
    if prefix:
        distributed.say(f"{path.name}: the prefix {prefix!r} is taken off the tensors' names")
    return tensors


def _read_safetensors(path: pathlib.Path, *, known: bool) -> Mapping[str, np.ndarray]:
    import safetensors
    import safetensors.numpy

    try:
        return safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        size, what = path.stat().st_size, "" if known else ", or another format"
        raise UserError(
            f"{path} is not a whole safetensors file ({brief(error)}). Its {size:,} "
            f"bytes may be the beginning of a download that broke off{what}: fetch it again."
        ) from error
