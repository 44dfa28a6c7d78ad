"""Checkpoints of what was trained: saved by orbax, verified when read, latest and best kept."""

from __future__ import annotations

import contextlib
import pathlib
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from vp_jax import distributed
from vp_jax.errors import UserError
from vp_jax.host import files
from vp_jax.records.checkpoints import orbax_log
from vp_jax.records.checkpoints.damage import first_line, out_of_reach
from vp_jax.records.checkpoints.safe_folder import SafeFolder
from vp_jax.records.checkpoints.saved import SET_ASIDE, SavedCheckpoints
from vp_jax.records.checkpoints.state_arrays import (
    digest,
    empty_ones,
    size,
    that_hold_anything,
    to_arrays,
)

__all__ = ["Checkpoints", "size", "to_arrays"]

LATEST = 2  # the newest and the one to fall back to


class _KeepLatestAndBest(checkpoint_managers.PreservationPolicy):
    """Keeps the newest checkpoints and the best one that each of them knew of.

    Attributes:
      best_of: the best step that a checkpoint knew of, by the checkpoint's step.
    """

    def __init__(self) -> None:
        self.best_of: dict[int, int] = {}

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
        del context
        latest = sorted(info.step for info in checkpoints)[-LATEST:]
        keep = {*latest, *(self.best_of[step] for step in latest if step in self.best_of)}
        return [info.step in keep for info in checkpoints]


class Checkpoints(SavedCheckpoints):
    """The checkpoints of a run that trains; all processes join in every call.

    Saving is asynchronous and atomic: a checkpoint is there whole or not at all. Every checkpoint
    carries `meta`, a JSON object, with the digest of the state under `digest`, and the types and
    shapes of arrays that hold no number, if there are any, under `empty`. What is proved to be
    damaged is set aside, beside the folder, before anything is saved. As a context it waits for
    what was begun and stops the threads at its end, also by an exception.

    Raises:
      UserError: the folder cannot be made or opened.
    """

    def __init__(self, folder: pathlib.Path):
        super().__init__(folder)
        self._policy = _KeepLatestAndBest()
        self._is_verified = False
        self._not_synced: set[int] = set()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._safe = SafeFolder(self._folder)
        except OSError as error:
            raise UserError(
                f"the folder of checkpoints {self._folder} cannot be written: "
                f"{error.strerror or error}; give another --workdir"
            ) from error
        for step in self.steps():
            # Whoever restores it says what is wrong with it.
            with contextlib.suppress(ValueError, OSError, KeyError):
                self._policy.best_of[step] = self.meta(step)["progress"]["best_step"]
        self._opened: ocp.CheckpointManager | None = None

    @property
    def _manager(self) -> ocp.CheckpointManager:
        """Orbax's manager, whose threads start with the first checkpoint that is saved."""
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def _open(self) -> ocp.CheckpointManager:
        orbax_log.quieten()
        options = ocp.CheckpointManagerOptions(
            preservation_policy=self._policy,
            create=False,
            cleanup_tmp_directories=True,
            enable_async_checkpointing=True,
        )
        handlers = {"state": ocp.StandardCheckpointHandler(), "meta": ocp.JsonCheckpointHandler()}
        return ocp.CheckpointManager(self._safe.path, options=options, item_handlers=handlers)

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: types.TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
            return
        with contextlib.suppress(Exception):  # The error that is on its way says why.
            self.close()

    def save(self, step: int, state: Any, meta: Mapping[str, Any], best_step: int) -> None:
        """Starts to save a tree of arrays under a step, unless that is there already.

        The first one is waited for and read back, so that no run trains on without checkpoints.

        Raises:
          UserError: it cannot be saved; the checkpoints saved before are untouched.
        """
        every = to_arrays(state)
        arrays = that_hold_anything(every)
        if step in self._manager.all_steps():
            return
        self._policy.best_of[step] = best_step
        own = {
            "digest": digest(arrays),
            **({"empty": empty} if (empty := empty_ones(every)) else {}),
        }
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(arrays), meta=ocp.args.JsonSave({**meta, **own})
        )
        self._guard(lambda: self._manager.save(step, args=items))
        self._not_synced.add(step)
        if not self._is_verified:
            self.wait()
            self._verify(step)
            self._is_verified = True

    def _verify(self, step: int) -> None:
        try:
            self.arrays(step)
        except Exception as error:
            raise UserError(
                f"the checkpoint that was just saved as {self._folder / str(step)} cannot be read "
                f"back ({first_line(error)}), so that the run could not be "
                "resumed or evaluated; give a --workdir on another disk"
            ) from error

    def wait(self) -> None:
        """Returns when all that was started is on disk.

        Raises:
          UserError: it cannot be saved, as on a full disk.
        """
        if self._opened is not None:
            self._guard(self._opened.wait_until_finished)
            self._guard(self._sync)

    def _sync(self) -> None:
        there = set(self.steps())
        for step in self._not_synced & there if distributed.is_main() else ():
            files.sync_tree(self._folder / str(step))
        self._not_synced.clear()

    def close(self) -> None:
        """Waits, then stops the threads."""
        try:
            if self._opened is not None:
                self._guard(self._opened.close)
                self._opened = None
        finally:
            self._safe.close()

    def _guard(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:
            if files.is_disk_full(error):
                raise UserError(
                    f"the disk is full: a checkpoint could not be saved in {self._folder}; those "
                    "saved before are kept. Free some space and run the same command again"
                ) from error
            reason = out_of_reach(error)
            if reason is None:
                raise
            raise UserError(
                f"a checkpoint could not be saved in {self._folder}: {self._safe.named(reason)}; "
                "those saved before are kept. Mend that and run the same command again"
            ) from error

    def _set_aside(self, step: int) -> pathlib.Path:
        target = self._folder.parent / f"{SET_ASIDE}{step}"
        number = 0
        while target.exists():
            number += 1
            target = self._folder.parent / f"{SET_ASIDE}{step}_{number}"
        distributed.wait()  # All have seen which names are taken.
        if distributed.is_main():
            (self._folder / str(step)).rename(target)
        distributed.wait()
        return target
