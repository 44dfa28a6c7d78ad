"""A start that is learned on several tasks: the loop whose step is one of Reptile."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax import distributed
from vp_jax.data.tasks.contents import Contents
from vp_jax.errors import UserError
from vp_jax.host.interrupts import INTERRUPTS
from vp_jax.host.progress_bar import progress_bar
from vp_jax.prompts.checks import check_int
from vp_jax.records.loggers.following import Followers
from vp_jax.step import step as step_lib
from vp_jax.step.forward import Parts
from vp_jax.step.fsdp import put_frozen
from vp_jax.step.reptile import toward
from vp_jax.step.sharding import put
from vp_jax.training.advance import Pace, make_advance
from vp_jax.training.experiment import Experiment
from vp_jax.training.loop import Loop
from vp_jax.training.members import Members
from vp_jax.training.start import feed_of
from vp_jax.training.zero_shot import ZeroShot

SAVES = 20
"""How many checkpoints a run has at least, besides that of its end."""

Learn = Callable[[Parts, int], tuple[Parts, step_lib.StepMetrics]]
"""From what trains, on the host, and the number of steps made, to what a task's steps make of it,
with the metrics of the last of them."""


@dataclasses.dataclass(frozen=True)
class Rounds:
    """How long and how fast a start is learned.

    Attributes:
      rounds: of all tasks.
      steps: of every task in a round.
      share: of the way to the mean of what the tasks have made of the start, in [0, 1].
    """

    rounds: int = 200
    steps: int = 6
    share: float = 0.5

    def __post_init__(self) -> None:
        check_int("the number of rounds", self.rounds, 1)
        check_int("the number of steps of a round", self.steps, 1)
        if not 0 <= self.share <= 1:
            raise UserError(f"share is {self.share}; it must be in [0, 1]")


class Reptile(Loop):
    """Learns what trains in a run as a start for several tasks; the run is that of the first.

    In each round every task begins with the start, and with an optimiser that knows nothing yet,
    and makes its steps on its own next batches; then the start moves toward the mean of what the
    tasks have. A task's mapping is that of the model without a prompt. Nothing is selected by: the
    last start is the best.

    Args:
      tasks: the runs of all tasks, of one backbone and one prompt, by their names.
      rounds: how many, of how many steps.
      workdir: of the run.
      followers: who else gets its metrics.
    """

    def __init__(
        self,
        tasks: Mapping[str, Experiment],
        rounds: Rounds,
        workdir: pathlib.Path,
        followers: Sequence[Followers] = (),
    ):
        total = rounds.rounds * rounds.steps
        self._tasks = {n: dataclasses.replace(e, total_steps=total) for n, e in tasks.items()}
        self._rounds = rounds
        super().__init__(list(self._tasks.values())[:1], workdir, followers=followers)

    @property
    def splits(self) -> dict[str, Contents]:
        """What the first task's examples are, and those that the others train on."""
        others = list(self._tasks.items())[1:]
        of_others = {f"train of {name}": e.task.contents["train"] for name, e in others}
        return {**super().splits, **of_others}

    def _train(self) -> None:
        rounds, learners = self._rounds, [self._learner(e) for e in self._tasks.values()]
        every = max(rounds.rounds // SAVES, 1)
        begun = self.step // rounds.steps
        with progress_bar(rounds.rounds, "learning a start", initial=begun, unit=" rounds") as bar:
            for number in range(begun, rounds.rounds):
                clock, is_first = time.monotonic(), self.step == 0
                start = jax.device_get(self.state.tuned)
                found = [learn(start, self.step) for learn in learners]
                tuned = toward(start, [end for end, _ in found], rounds.share)
                if is_first:
                    for _, out in found:
                        self._check_gradient(out)
                self.step += rounds.steps
                self.state = self.state._replace(
                    step=put(np.int32(self.step), self.everywhere),
                    tuned=put(tuned, self.everywhere),
                )
                if number > begun:  # the first round of a start compiles
                    self.progress.train_seconds += time.monotonic() - clock
                losses = {
                    n: float(out["loss"]) for n, (_, out) in zip(self._tasks, found, strict=True)
                }
                self._note(losses)
                bar.update(1)
                bar.set_postfix({"loss": f"{np.mean(list(losses.values())):.3f}"}, refresh=False)
                (signal,) = distributed.least(-INTERRUPTS.number)
                if signal or (number + 1) % every == 0 or number + 1 == rounds.rounds:
                    self.progress.done = number + 1 == rounds.rounds
                    self._metrics[0].sync()
                    self.save()
                if signal:
                    self._leave(bar, signal)

    def _note(self, losses: Mapping[str, float]) -> None:
        """Writes what the tasks' last batches of a round said, and that this start is the best."""
        for name, loss in losses.items():
            if not np.isfinite(loss):
                raise UserError(
                    f"the loss of {name} is not finite after {self.step} steps. "
                    f"{self.experiment.advice.divergence}"
                )
        mean = float(np.mean(list(losses.values())))
        rows = {f"train/loss/{name}": loss for name, loss in losses.items()}
        self._metrics[0].write(self.step, {"train/loss": mean, **rows})
        self.progress.best_step, self.progress.best = self.step, {"loss": mean}

    def _learner(self, experiment: Experiment) -> Learn:
        """What makes the steps of a task."""
        total, steps = experiment.total_steps, self._rounds.steps
        feed = self.feed if experiment is self.experiment else feed_of(experiment, self.mesh)
        own = {part: x for part, x in experiment.frozen.items() if part != "backbone"}
        frozen = {**put_frozen(own, self.mesh), "backbone": self.frozen["backbone"]}
        mapping = experiment.mapping
        if experiment.tally is not None:
            head = ZeroShot(experiment, frozen, feed, self.mesh).head()  # found once
            mapping = {"head": {name: head[name] for name in mapping["head"]}}
        members = Members([experiment])
        pace = Pace(experiment.steps_per_epoch, total)
        penalties, splits = tuple(experiment.penalties), [experiment.task.train]
        advance = make_advance(
            members.train_step(), feed, splits, pace, total, self.mesh, penalties
        )

        def learn(tuned: Parts, begin: int) -> tuple[Parts, step_lib.StepMetrics]:
            state = step_lib.init_state(tuned, experiment.optimizer, experiment.key, mapping)
            state = put(state._replace(step=jnp.int32(begin)), self.everywhere)
            for start, stop in spans(begin, begin + steps, experiment.steps_per_epoch):
                state, _, out = advance(state, frozen, start, stop)
            return jax.device_get(state.tuned), jax.device_get(out)

        return learn


def spans(start: int, stop: int, length: int) -> Iterator[tuple[int, int]]:
    """The steps from one up to another, in parts that end where an epoch of a length does.

    >>> list(spans(4, 11, 5))
    [(4, 5), (5, 10), (10, 11)]
    """
    while start < stop:
        end = min(stop, (start // length + 1) * length)
        yield start, end
        start = end


def names_of(experiments: Sequence[Experiment]) -> list[str]:
    """The names of the runs' tasks, with a number where there are several of one name."""
    names = [e.task.task.name for e in experiments]
    return [f"{n} {i}" if names.count(n) > 1 else n for i, n in enumerate(names)]
