"""Reads the files of a checkpoint: nothing is made, changed or left behind, threads included.

Orbax writes a checkpoint as a folder named by its step: `meta/metadata` is a JSON object, `state`
an OCDBT database of zarr arrays, which TensorStore reads.
"""

from __future__ import annotations

import pathlib

import numpy as np
import tensorstore as ts

from vp_jax.records.checkpoints.damage import Damaged
from vp_jax.records.checkpoints.meta import META, read_json, read_meta
from vp_jax.records.checkpoints.meta import steps as steps
from vp_jax.records.checkpoints.safe_folder import SafeFolder
from vp_jax.records.checkpoints.state_arrays import digest

STATE = "state"
_ARRAY = "/.zarray"


def read_arrays(checkpoint: pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of a checkpoint by their names, as they were saved.

    Raises:
      Damaged: they are not what was saved.
      ValueError: TensorStore cannot read them.
      OSError: a file cannot be read.
    """
    meta = read_meta(checkpoint)
    read_json(checkpoint, f"{STATE}/_METADATA")  # which orbax itself needs
    folder = SafeFolder(checkpoint)
    try:
        context = ts.Context()  # without what another read has left in its cache
        store = {"driver": "ocdbt", "base": {"driver": "file", "path": f"{folder.path}/{STATE}/"}}
        keys = ts.KvStore.open(store, context=context).result().list().result()
        names = [key.decode().removesuffix(_ARRAY) for key in keys if key.endswith(b"/.zarray")]
        arrays = {}
        for name in names:
            spec = {"driver": "zarr", "kvstore": {**store, "path": f"{name}/"}}
            array = ts.open(spec, read=True, open=True, context=context).result()
            arrays[name] = array.read().result()
    except ValueError as error:
        raise ValueError(folder.named(str(error))) from error
    finally:
        folder.close()
    if digest(arrays) != meta["digest"]:
        raise Damaged("it does not hold what was saved in it")
    try:
        empty = meta.get("empty", {}).items()
        return {**arrays, **{name: np.empty(shape, dtype) for name, (dtype, shape) in empty}}
    except (TypeError, ValueError, AttributeError) as error:
        raise Damaged(f"{META} has no types and shapes under empty") from error
