"""Checkpoints of what was trained: saved by orbax, verified when read, latest and best kept."""

from __future__ import annotations

import errno
import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from orbax.checkpoint import checkpoint_managers

from vp_jax import distributed
from vp_jax.errors import UserError
from vp_jax.training.step import State

LATEST = 2  # the newest and the one to fall back to


class _KeepLatestAndBest(checkpoint_managers.PreservationPolicy):
    """Keeps the newest checkpoints and the best one that each of them knew of."""

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
        del context
        latest = sorted(checkpoints, key=lambda info: info.step)[-LATEST:]
        keep = {info.step for info in latest}
        keep |= {info.metrics["best_step"] for info in latest if info.metrics}
        return [info.step in keep for info in checkpoints]


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the names, shapes, types and bytes of arrays."""
    total = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        total.update(f"{name} {array.dtype} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def to_arrays(state: State) -> dict[str, np.ndarray]:
    """Copies of all arrays of a replicated state, by dotted name.

    Copies, so that the state's buffers may be donated while they are saved.
    """
    leaves = jax.tree_util.tree_flatten_with_path(jax.device_get(state))[0]
    return {_name(path): np.array(leaf, copy=True) for path, leaf in leaves}


def _that_hold_anything(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What orbax stores: not the empty ones, the sides of a border that covers the whole image."""
    return {name: array for name, array in arrays.items() if array.size}


def _empty(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[str, list[int]]]:
    """The types and shapes of the others, but for counts of nothing, as JSON holds them."""
    return {
        name: (str(array.dtype), list(array.shape))
        for name, array in arrays.items()
        if not array.size and name.rpartition(".")[2] != "counts"
    }


def size(state: State) -> int:
    """Bytes of the arrays that a checkpoint of a state holds; orbax adds some kB of its own."""
    return sum(array.nbytes for array in to_arrays(state).values())


def _name(path: jax.tree_util.KeyPath) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or what caused it, says that no space is left."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "No space left on device" in str(seen) or "Disk quota exceeded" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


class Checkpoints:
    """The checkpoints of one run, in one folder that all processes see; all join in every call.

    Saving is asynchronous and atomic: a checkpoint is there whole or not at all. Every checkpoint
    carries `meta`, a JSON object, with the digest of the state under `digest`, and the types and
    shapes of arrays that hold no number, if there are any, under `empty`.
    """

    def __init__(self, folder: pathlib.Path):
        self._folder = folder.resolve()
        self._manager = self._open()

    def _open(self) -> ocp.CheckpointManager:
        options = ocp.CheckpointManagerOptions(
            preservation_policy=_KeepLatestAndBest(),
            best_fn=lambda metrics: metrics["best_step"],  # makes orbax write and read metrics
            cleanup_tmp_directories=True,
            enable_async_checkpointing=True,
        )
        handlers = {"state": ocp.StandardCheckpointHandler(), "meta": ocp.JsonCheckpointHandler()}
        return ocp.CheckpointManager(self._folder, options=options, item_handlers=handlers)

    def steps(self) -> list[int]:
        """Steps of the checkpoints that are there, ascending."""
        return sorted(self._manager.all_steps())

    def save(self, state: State, meta: Mapping[str, Any], best_step: int) -> None:
        """Starts to save a state under its step, unless that is there already.

        Raises:
          UserError: the disk is full; the checkpoints saved before are untouched.
        """
        every = to_arrays(state)
        arrays = _that_hold_anything(every)
        step = int(state.step)
        if step in self._manager.all_steps():
            return
        own = {"digest": digest(arrays), **({"empty": empty} if (empty := _empty(every)) else {})}
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(arrays), meta=ocp.args.JsonSave({**meta, **own})
        )
        self._guard(lambda: self._manager.save(step, args=items, metrics={"best_step": best_step}))

    def wait(self) -> None:
        """Returns when all that was started is on disk.

        Raises:
          UserError: the disk is full.
        """
        self._guard(self._manager.wait_until_finished)

    def close(self) -> None:
        """Waits, then stops the threads."""
        self._guard(self._manager.close)

    def _guard(self, action) -> None:
        try:
            action()
        except Exception as error:
            if not is_disk_full(error):
                raise
            raise UserError(
                f"the disk is full: a checkpoint could not be saved in {self._folder}; the last "
                "good one is kept. Free some space and run the same command again"
            ) from error

    def meta(self, step: int) -> dict[str, Any]:
        """The JSON object saved with a step."""
        items = ocp.args.Composite(meta=ocp.args.JsonRestore())
        return self._manager.restore(step, args=items).meta

    def arrays(self, step: int) -> dict[str, np.ndarray]:
        """All arrays of a step by their dotted names, whatever state they are of.

        Raises:
          ValueError: the checkpoint is damaged.
        """
        saved = self._manager.item_metadata(step).state
        arrays = self._read(step, {name: np.empty(x.shape, x.dtype) for name, x in saved.items()})
        empty = self.meta(step).get("empty", {})
        return {**arrays, **{n: np.empty(shape, dtype) for n, (dtype, shape) in empty.items()}}

    def restore(self, step: int, target: State) -> State:
        """The state of a step, as NumPy arrays.

        Args:
          step: one of `steps()`.
          target: a state with the structure, shapes and types to restore.

        Raises:
          ValueError: the checkpoint is damaged.
        """
        arrays = self._read(step, _that_hold_anything(to_arrays(target)))
        return jax.tree_util.tree_map_with_path(
            lambda path, x: arrays[_name(path)] if np.size(x) else np.asarray(x), target
        )

    def _read(self, step: int, wanted: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        items = ocp.args.Composite(state=ocp.args.StandardRestore(wanted))
        restored = self._manager.restore(step, args=items).state
        arrays = {name: np.asarray(array) for name, array in restored.items()}
        if digest(arrays) != self.meta(step)["digest"]:
            raise ValueError(f"checkpoint {step} does not hold what was saved in it")
        return arrays

    def restore_latest(
        self, target: State, identity: Mapping[str, Any]
    ) -> tuple[State, dict[str, Any]] | None:
        """The newest checkpoint that all processes can read, or None where there is none.

        A damaged checkpoint is set aside with a warning and the one before it is taken.

        Args:
          target: as for `restore`.
          identity: what the checkpoint must belong to; compared with its `meta["identity"]`.

        Raises:
          UserError: the checkpoint is of another run, all are damaged, or processes see different
            ones.
        """
        steps = self.steps()
        self._check_shared(steps)
        for step in reversed(steps):
            found, meta = None, {}
            try:
                meta = self.meta(step)
                check_identity(meta["identity"], identity, self._folder / str(step))
                found = self.restore(step, target)
            except UserError:
                raise
            except Exception as error:  # whatever orbax and tensorstore raise on damaged files
                logging.warning(
                    "checkpoint %d in %s is damaged (%s); going back to the one before",
                    step,
                    self._folder,
                    str(error).splitlines()[0] if str(error) else type(error).__name__,
                )
            (all_have,) = distributed.least(found is not None)
            if all_have:
                return found, meta
            self._set_aside(step)
        if steps:
            raise UserError(
                f"every checkpoint in {self._folder} is damaged (steps {steps}; they are kept as "
                "damaged_*): start again in another --workdir"
            )
        return None

    def _check_shared(self, steps: Sequence[int]) -> None:
        newest = max(steps, default=-1)
        oldest_of_all, newest_of_all = distributed.least(newest, -newest)
        if oldest_of_all != -newest_of_all:
            raise UserError(
                f"the processes see different checkpoints in {self._folder} (the newest of steps "
                f"{oldest_of_all} and {-newest_of_all}): give a --workdir on a disk that all share"
            )

    def _set_aside(self, step: int) -> None:
        target = self._folder.parent / f"damaged_{step}"
        number = 0
        while target.exists():
            number += 1
            target = self._folder.parent / f"damaged_{step}_{number}"
        self._manager.close()
        if distributed.is_main():
            (self._folder / str(step)).rename(target)
        distributed.wait()
        self._manager = self._open()


def check_identity(saved: Mapping[str, Any], wanted: Mapping[str, Any], where: Any) -> None:
    """Refuses a checkpoint of another backbone, prompt, task or set of tuned parts.

    Raises:
      UserError: names both sides of everything that differs.
    """
    differing = [
        f"{key} is {saved.get(key)} there and {wanted[key]} here"
        for key in wanted
        if saved.get(key) != wanted[key]
    ]
    if differing:
        raise UserError(
            f"the checkpoint {where} belongs to another run: {'; '.join(differing)}. Use the "
            "command that made it, or another --workdir"
        )
