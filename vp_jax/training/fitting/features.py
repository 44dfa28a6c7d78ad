"""Features of whole splits: computed once, kept on disk while a run needs them."""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import safetensors.numpy
from jax.sharding import Mesh

from vp_jax import data, distributed
from vp_jax.host import files
from vp_jax.host.progress_bar import progress_bar
from vp_jax.step.batch import Batch
from vp_jax.step.forward import Forward, Parts
from vp_jax.step.sharding import AS_PLACED, by_example, replicated
from vp_jax.training.feed import Feed

Compute = Callable[[Parts, data.Split], np.ndarray]


def make_compute(
    outputs: Forward, key: jax.Array, feed: Feed, mesh: Mesh, what: str = "features"
) -> Compute:
    """A function `(parts, split) -> outputs` of all examples in order, `[N, D]` float32.

    The key places random patches, anew for every batch, the same at every call; the progress bar
    says `what` is computed.
    """
    everywhere, examples = replicated(mesh), by_example(mesh)

    def step(parts: Parts, store: Any, batch: Batch, key: jax.Array) -> jax.Array:
        batch = feed.fetch(store, batch)
        return outputs(parts, batch.image, rng=key, features=batch.features)

    step = jax.jit(
        step,
        in_shardings=(AS_PLACED, examples, examples, everywhere),
        out_shardings=everywhere,
    )

    def compute(parts: Parts, split: data.Split) -> np.ndarray:
        chunks = []
        split = split if "prompt" in parts else split.unprompted()
        with progress_bar(len(split), f"{what} of {split.name}", unit_scale=True) as bar:
            batch_size = feed.batch_size
            for number, batch in enumerate(feed.eval_batches(split)):
                rows = step(parts, feed.store, batch, jax.random.fold_in(key, number))
                chunks.append(np.asarray(rows))
                bar.update(min(batch_size, len(split) - bar.n))
        return np.concatenate(chunks)[: len(split)]

    return compute


def cached(
    folder: pathlib.Path,
    split: data.Split,
    compute: Callable[[], np.ndarray],
    origin: Mapping[str, str],
) -> np.ndarray:
    """Features of a split, from the file of an earlier start if it is whole and of this origin.

    Args:
      folder: of the files; made where it is missing.
      split: names the file.
      compute: makes the features, `[N, D]` float32.
      origin: what they are of; a file of another origin, or a damaged one, is made again.
    """
    path = folder / f"{split.name}.safetensors"
    found = _read(path, origin)
    (all_have,) = distributed.least(found is not None)
    if found is not None and all_have:
        return found
    features = compute()
    if distributed.is_main():
        content = safetensors.numpy.save({"features": features}, metadata=dict(origin))
        files.write(path, lambda file: file.write(content))
    return features


def _read(path: pathlib.Path, origin: Mapping[str, str]) -> np.ndarray | None:
    if path.exists():
        try:
            with safetensors.safe_open(path, "numpy") as file:
                if (file.metadata() or {}) == dict(origin):
                    return file.get_tensor("features")
        except (OSError, ValueError, safetensors.SafetensorError):
            pass  # cut off by a power cut: it holds nothing that cannot be computed again
    return None


def forget(folder: pathlib.Path) -> None:
    """Removes the files of a run that is finished."""
    shutil.rmtree(folder, ignore_errors=True)
