"""Checkpoints of a run as a reader has them: verified, and left as they are."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from absl import logging

from vp_jax import distributed
from vp_jax.errors import UserError
from vp_jax.records.checkpoints import files as checkpoint_files
from vp_jax.records.checkpoints import former
from vp_jax.records.checkpoints.damage import damage, first_line, out_of_reach
from vp_jax.records.checkpoints.state_arrays import Mismatch, Tree, from_arrays, to_arrays

SET_ASIDE = "damaged_"
"""How the names of damaged checkpoints begin, beside the folder of checkpoints."""

Read = TypeVar("Read")

_WHOLE, _DAMAGED, _OUT_OF_REACH = 2, 1, 0  # what a process has found, the worst last
_LOOKS = 2
"""How often a checkpoint is read before anything is said of it: a disk may stutter."""


class SavedCheckpoints:
    """The checkpoints of one run, to be read; nothing in their folder is made, changed or removed.

    Of several processes all join in `newest`, `restore_latest` and `read_one`.
    """

    def __init__(self, folder: pathlib.Path):
        self._folder = folder.resolve()

    def steps(self) -> list[int]:
        """Steps of the checkpoints that are there, ascending.

        Raises:
          UserError: their folder cannot be read.
        """
        try:
            return checkpoint_files.steps(self._folder)
        except OSError as error:
            raise UserError(
                f"the checkpoints in {self._folder} cannot be read: {error.strerror or error}"
            ) from error

    def meta(self, step: int) -> dict[str, Any]:
        """The JSON object saved with a step.

        Raises:
          ValueError: the checkpoint is damaged.
          OSError: it cannot be read.
        """
        return checkpoint_files.read_meta(self._folder / str(step))

    def arrays(self, step: int) -> dict[str, np.ndarray]:
        """All arrays of a step by their dotted names, whatever state they are of.

        Raises:
          ValueError: the checkpoint is damaged.
          OSError: it cannot be read.
        """
        return checkpoint_files.read_arrays(self._folder / str(step))

    def restore(self, step: int, target: Tree) -> Tree:
        """The state of a step, as NumPy arrays.

        Args:
          step: one of `steps()`.
          target: a state with the structure, shapes and types to restore.

        Raises:
          ValueError: the checkpoint is damaged.
          UserError: it is whole, and of a state of another structure.
        """
        try:
            arrays = former.arrays(self.arrays(step), to_arrays(target))
            return from_arrays(arrays, target)
        except Mismatch as error:
            raise UserError(
                f"the checkpoint {self._folder / str(step)} is of another run or version: {error}. "
                "Use what made it, or another --workdir"
            ) from error

    def restore_latest(
        self, target: Tree, identity: Mapping[str, Any]
    ) -> tuple[Tree, dict[str, Any]] | None:
        """The newest checkpoint that all processes can read, or None where there is none.

        Args:
          target: as for `restore`.
          identity: what the checkpoint must belong to; compared with its `meta["identity"]`.

        Raises:
          UserError: as `newest` raises, or the checkpoint is of another run.
        """

        def read(step: int) -> tuple[Tree, dict[str, Any]]:
            meta = self.meta(step)
            check_identity(meta["identity"], identity, self._folder / str(step))
            return self.restore(step, target), meta

        return self.newest(read)

    def newest(self, read: Callable[[int], Read]) -> Read | None:
        """What `read` makes of the newest step that is not damaged, or None where there is no step.

        A damaged checkpoint is left out with a warning.

        Raises:
          UserError: all are damaged, one cannot be read for another reason, or processes see
            different ones.
        """
        steps = self.steps()
        self._check_shared(steps)
        damaged: list[str] = []
        for step in reversed(steps):
            found, wrong = self._look(step, read)
            if not wrong:
                return found
            where = self._folder / str(step)
            kept = self._set_aside(step)
            damaged.append(str(kept))
            logging.warning(
                "checkpoint %d in %s is damaged (%s); going back to the one before. It is kept as "
                "%s: ls -lR shows its files%s",
                *(step, self._folder, wrong, kept),
                "" if kept == where else f", moving it to {where} undoes this",
            )
        if steps:
            raise UserError(
                f"every checkpoint in {self._folder} is damaged (steps {steps}; they are kept as "
                f"{', '.join(reversed(damaged))}): start again in another --workdir"
            )
        return None

    def read_one(self, step: int, read: Callable[[int], Read]) -> Read:
        """What `read` makes of a step.

        Raises:
          UserError: it is not there, is damaged, or cannot be read for another reason.
        """
        where = self._folder / str(step)
        if step not in self.steps():
            raise UserError(f"the checkpoint {where} is missing; the others are {self.steps()}")
        found, wrong = self._look(step, read)
        if found is None:
            raise UserError(
                f"the checkpoint {where} is damaged ({wrong}), and no other one has what was best "
                "in this run; start again in another --workdir"
            )
        return found

    def _look(self, step: int, read: Callable[[int], Read]) -> tuple[Read | None, str]:
        """What `read` makes of a step for all processes, or what is wrong with the checkpoint."""
        where = self._folder / str(step)
        for _ in range(_LOOKS):
            found, wrong, reason, error = None, "", "", None
            try:
                found = read(step)
            except UserError:
                raise
            except Exception as raised:  # whatever orbax and TensorStore raise
                error = raised
                try:
                    wrong = damage(where, raised) or ""
                except OSError as unreadable:
                    error = unreadable
                reason = out_of_reach(error) or first_line(error)
            state = _WHOLE if error is None else _DAMAGED if wrong else _OUT_OF_REACH
            (worst,) = distributed.least(state)
            if worst == _WHOLE:
                return found, ""
        if worst == _DAMAGED:
            return None, wrong or "as another process sees it"
        raise UserError(
            f"the checkpoint {where} cannot be read now ({reason or 'by another process'}), which "
            "does not mean that it is damaged: nothing was changed. Mend that and run the same "
            "command again, or move that folder away to go back to the checkpoint before"
        ) from error

    def _check_shared(self, steps: Sequence[int]) -> None:
        newest = max(steps, default=-1)
        oldest_of_all, newest_of_all = distributed.least(newest, -newest)
        if oldest_of_all != -newest_of_all:
            raise UserError(
                f"the processes see different checkpoints in {self._folder} (the newest of steps "
                f"{oldest_of_all} and {-newest_of_all}): give a --workdir on a disk that all share"
            )

    def _set_aside(self, step: int) -> pathlib.Path:
        """Where a damaged checkpoint is from now on; this reader leaves it where it is."""
        return self._folder / str(step)


def set_aside(workdir: pathlib.Path) -> list[str]:
    """The names of the damaged checkpoints that were set aside in a run's folder."""
    return sorted(path.name for path in workdir.glob(f"{SET_ASIDE}*"))


def check_identity(saved: Mapping[str, Any], wanted: Mapping[str, Any], where: Any) -> None:
    """Refuses a checkpoint of another backbone, prompt, task or set of tuned parts.

    Raises:
      UserError: names both sides of everything that differs.
    """
    saved = former.identity(saved, wanted)
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
