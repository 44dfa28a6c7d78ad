"""Writes a CLIP's parameters as a safetensors file in OpenAI's tensor names."""

from __future__ import annotations

import os

import numpy as np
from jax.typing import DTypeLike

from vp_jax.backbones.clip.openai import OPENAI
from vp_jax.backbones.weights.table import Tree, to_state_dict
from vp_jax.host import files


def write_openai(
    path: str | os.PathLike[str], name: str, params: Tree, dtype: DTypeLike = np.float16
) -> None:
    """Writes a file that `load` reads, and so do open_clip and the like.

    Args:
      path: of the file; it is written under another name and moved there when it is whole.
      name: of the model, for the file's metadata.
      params: a CLIP's parameter tree.
      dtype: of the tensors in the file.

    Raises:
      UserError: the image tower is a ResNet, whose batch normalisation is folded for good.
    """
    import safetensors.numpy

    tensors = {n: x.astype(dtype) for n, x in to_state_dict(params, OPENAI).items()}
    # save_file would make the file readable by its owner only
    content = safetensors.numpy.save(tensors, metadata={"name": name, "format": OPENAI.name})
    files.write(path, lambda file: file.write(content))
