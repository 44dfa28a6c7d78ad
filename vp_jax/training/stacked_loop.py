"""The train loop of many members in one program."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax import data
from vp_jax.errors import UserError
from vp_jax.records.checkpoints import Checkpoints
from vp_jax.records.metrics import Metrics
from vp_jax.records.record import Splits, keep, of_task
from vp_jax.records.workdir import CHECKPOINTS
from vp_jax.step import step as step_lib
from vp_jax.step.forward import Parts
from vp_jax.step.sharding import put
from vp_jax.step.step import State
from vp_jax.training.advance import Advance, Log, Pace, make_advance, rows
from vp_jax.training.evaluation import Evaluation
from vp_jax.training.experiment import Experiment
from vp_jax.training.loop import Loop, shown_in_bar
from vp_jax.training.stacked import Stack, Traits, pick
from vp_jax.training.stacked_evaluation import StackedEvaluate, Together
from vp_jax.training.stacked_feed import StackedFeed
from vp_jax.training.start import Outcome, Progress, make_meta
from vp_jax.training.zero_shot import ZeroShot


class Kept(NamedTuple):
    """All that training changes and checkpoints hold.

    Attributes:
      now: the members' states.
      best: as they were at each one's best step; there `step` is `[N]`.
    """

    now: State
    best: State

    @property
    def step(self) -> jax.Array:
        """Number of updates made."""
        return self.now.step

    @property
    def failed_step(self) -> jax.Array:
        """Each member's first step whose loss was not finite, or -1, `[N]`."""
        return self.now.failed_step


@dataclasses.dataclass
class SweepProgress(Progress):
    """What a sweep knows of itself, beside its state; `best` and what belongs to it is unused.

    Attributes:
      members: of each.
      stopped: the step at which each ended, -1 while it trains.
    """

    members: list[Progress] = dataclasses.field(default_factory=list)
    stopped: list[int] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self.members = [m if isinstance(m, Progress) else Progress(**m) for m in self.members]


class MembersMetrics:
    """The metrics of every member, each in its own folder."""

    def __init__(self, folders: Sequence[pathlib.Path], step: int):
        self.each = [Metrics(folder, step) for folder in folders]

    def sync(self) -> None:
        """Returns when the rows written so far are on disk."""
        for metrics in self.each:
            metrics.sync()

    def close(self) -> None:
        """Writes out what is buffered."""
        for metrics in self.each:
            metrics.close()


class StackedLoop(Loop):
    """Training of many members by steps.

    A member whose loss is not finite, or that is to stop early, changes no more; the others go on.

    Attributes:
      experiments: the members' runs.
      folders: where each writes what is its own.
      stack: of the members.
      evaluate_members: all of them at once.
      zero_shots: each member's model before training.
    """

    progress_type = SweepProgress
    state: Kept
    progress: SweepProgress

    def __init__(
        self,
        experiments: Sequence[Experiment],
        workdir: pathlib.Path,
        folders: Sequence[pathlib.Path],
    ):
        self.experiments, self.folders = experiments, folders
        self.stack = Stack(experiments)
        super().__init__(experiments[0], workdir)
        if self.is_fresh:
            self.progress.members = [Progress() for _ in experiments]
            self.progress.stopped = [-1] * len(experiments)
        self.evaluate_members = StackedEvaluate(self.stack, self.frozen, self.feed, self.mesh)
        self.zero_shots = [ZeroShot(e, self.frozen, self.feed, self.mesh) for e in experiments]
        self._pick = jax.jit(pick, out_shardings=self.everywhere)

    @property
    def identity(self) -> dict[str, Any]:
        """Of all members: whose prompts they are."""
        return {
            **self.experiment.identity,
            "prompt": [e.identity["prompt"] for e in self.experiments],
        }

    @property
    def splits(self) -> Splits:
        """What the examples of each split are, for every seed."""
        first = self.experiment
        others = {e.seed: e.task for e in self.experiments}
        del others[first.seed]
        of_others = {
            f"{name} of seed {seed}": task.contents[name]
            for seed, task in others.items()
            for name in ("train", "val")
        }
        return {**first.task.contents, **of_others}

    def make_feed(self) -> StackedFeed:
        """The images, once for all members."""
        tasks = [e.task for e in self.experiments]
        seeds = [e.seed for e in self.experiments]
        return StackedFeed(tasks, seeds, self.settings.batch_size, self.mesh)

    def fresh(self) -> Kept:
        """The states before the first step."""
        now = self.stack.fresh()
        return Kept(now, now._replace(step=np.zeros(len(self.experiments), np.int32)))

    @property
    def has_failed(self) -> np.ndarray:
        """Which members' loss was not finite, bool `[N]`."""
        return np.asarray(jax.device_get(self.state.failed_step)) >= 0

    def outcome(self) -> list[Outcome]:
        """The end of every member, also of those that failed."""
        kept = jax.device_get(self.state)
        last = kept.now._replace(step=np.array(self.progress.stopped, np.int32))
        outcomes = []
        for i, progress in enumerate(self.progress.members):
            of_all = {
                "done": True,
                "data_changes": self.progress.data_changes,
                "train_seconds": self.progress.train_seconds,
                "train_images": self.progress.train_images // len(self.experiments),
                "wall_seconds": self.progress.wall_seconds,
            }
            best = self.stack.member(kept.best, i)
            outcomes.append(
                Outcome(
                    best={**best.mapping, **best.tuned},
                    last=self.stack.member(last, i),
                    progress=dataclasses.replace(progress, **of_all),
                    evaluate=self.evaluate,
                    frozen=self.frozen,
                    zero_shot=self.zero_shots[i],
                )
            )
        return outcomes

    def test(self, split: data.Split) -> Together:
        """The members' best prompts on a split that they share; the mean is over those that did
        not fail."""
        return self.evaluate_members.together(_parts(self.state.best), split, ~self.has_failed)

    def zero_shot_on(self, split: str) -> list[Evaluation | None]:
        """Each member's model before training on its split of that name."""
        found: dict[Any, Evaluation] = {}
        every = []
        for experiment, zero_shot in zip(self.experiments, self.zero_shots, strict=True):
            task_split = getattr(experiment.task, split)
            if not zero_shot.exists or not len(task_split):
                every.append(None)
                continue
            of_seed = bool(experiment.mapping) or split != "test"
            key = experiment.seed if of_seed else "all"
            if key not in found:
                found[key] = self.evaluate(zero_shot.parts(), task_split)
            every.append(found[key])
        return every

    def save_member(self, number: int, outcome: Outcome) -> None:
        """Saves checkpoints of one member as its own run has them: the best and the last."""
        best = self.stack.member(jax.device_get(self.state.best), number)
        experiment, progress = self.experiments[number], outcome.progress
        about = of_task(experiment.task)
        former = self.workdir if self.progress.data_changes else None
        keep(self.folders[number], about, experiment.task.contents, former)
        with Checkpoints(self.folders[number] / CHECKPOINTS) as checkpoints:
            for state in (best, outcome.last):
                meta = make_meta(experiment, experiment.identity, progress, int(state.step), about)
                checkpoints.save(state, meta, progress.best_step)
            checkpoints.wait()

    def _open_metrics(self) -> MembersMetrics:
        each = [e.schedules for e in self.experiments]
        self._rates = jax.jit(
            lambda step: [{part: f(step) for part, f in schedules.items()} for schedules in each]
        )
        return MembersMetrics(self.folders, self.step)

    def _begin(self) -> None:
        if self.experiment.tally is None:
            return
        mappings = [{"head": zero_shot.head()} for zero_shot in self.zero_shots]
        stacked = jax.tree.map(lambda *each: np.stack(each), *mappings)
        now = self.state.now._replace(mapping=put(stacked, self.everywhere))
        self.state = self.state._replace(now=now)

    def _measure_zero_shot(self) -> None:
        found = self.zero_shot_on(self.settings.select_on)
        for progress, evaluation in zip(self.progress.members, found, strict=True):
            progress.zero_shot = None if evaluation is None else evaluation.metric

    def _make_advance(self, pace: Pace) -> Advance:
        splits = [e.task.train for e in self.experiments]
        total_steps = self.experiment.total_steps
        advance = make_advance(
            self.stack.train_step(), self.feed, splits, pace, total_steps, self.mesh
        )
        rate, masks = put((self.stack.rate, self.stack.masks), self.everywhere)

        def advance_now(
            state: Kept, frozen: Parts, start: int, stop: int
        ) -> tuple[Kept, Log, step_lib.StepMetrics]:
            active = np.array(self.progress.stopped) < 0
            traits = Traits(rate, masks, put(active, self.everywhere))
            now, log, out = advance(state.now, (frozen, traits), start, stop)
            return state._replace(now=now), log, out

        return advance_now

    def _images_seen(self, step: int) -> int:
        return super()._images_seen(step) * len(self.experiments)

    def _read(self, log: Log) -> tuple[np.ndarray, list[Any]]:
        """The steps that failed; for every row its step, and totals and norms by member."""
        log = jax.device_get(log)
        by_member = [
            rows(
                log._replace(
                    sums=jax.tree.map(lambda x, i=i: x[:, i], log.sums),
                    grad_norm=log.grad_norm[:, i],
                )
            )
            for i in range(len(self.experiments))
        ]
        logged = [
            (each[0][0], [totals for _, totals, _ in each], [norm for _, _, norm in each])
            for each in zip(*by_member, strict=True)
        ]
        return np.asarray(self.state.failed_step), logged

    def _write(
        self,
        metrics: MembersMetrics,
        step: int,
        totals: Sequence[dict[str, float]],
        grad_norms: Sequence[float],
    ) -> dict[str, str]:
        """Writes a row for every member that trains; the progress bar shows their means."""
        rates = jax.device_get(self._rates(np.int32(step - 1)))
        training = [i for i, stopped in enumerate(self.progress.stopped) if stopped < 0]
        for i in training:
            metrics.each[i].write(step, self._row(step, totals[i], grad_norms[i], rates[i]))
        names = totals[0]
        return shown_in_bar({n: float(np.mean([totals[i][n] for i in training])) for n in names})

    def _evaluate(self, metrics: MembersMetrics, last: bool) -> None:
        name, progress = self.settings.select_on, self.progress
        parts = _parts(self.state.now)
        if name == "test":
            training = np.array(progress.stopped) < 0
            found = self.evaluate_members.together(parts, self.experiment.task.test, training).each
        else:
            found = self.evaluate_members.own(parts, [e.task.val for e in self.experiments])
        is_best = np.zeros(len(found), bool)
        for i, (evaluation, own) in enumerate(zip(found, progress.members, strict=True)):
            if progress.stopped[i] >= 0:
                continue
            result = self.measured(evaluation)
            values = {f"{name}/{key}": value for key, value in result.items()}
            metrics.each[i].write(self.step, values)
            own.record(self.step, result, self.metric)
            is_best[i] = own.best_step == self.step
            if last or self._is_stale(own):
                progress.stopped[i] = self.step
        now = self.state.now
        step = jnp.broadcast_to(now.step, is_best.shape)
        best = self._pick(is_best, now._replace(step=step), self.state.best)
        self.state = self.state._replace(best=best)
        progress.done = min(progress.stopped) >= 0

    def _best_so_far(self) -> float:
        return float(np.mean([m.best[self.metric] for m in self.progress.members if m.best]))

    def _check_finite(self, failed: np.ndarray) -> None:
        """Takes note of members whose loss is not finite; refuses to go on when all are so."""
        for i in np.flatnonzero(failed >= 0):
            if self.progress.stopped[i] < 0:
                self.progress.stopped[i] = int(failed[i])
        self.progress.done = min(self.progress.stopped) >= 0
        if (failed >= 0).all():
            raise UserError(
                "the loss of every member is not finite, the first one's from step "
                f"{failed.min()} on. {self.experiment.advice.divergence}"
            )


def _parts(state: State) -> Parts:
    return {**state.mapping, **state.tuned}
