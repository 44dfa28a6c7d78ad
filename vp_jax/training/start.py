"""One start of a run: what it begins or goes on with, how it saves, how it ends."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from typing import Any

from absl import logging
from jax.sharding import Mesh

from vp_jax import data, distributed
from vp_jax.data.tasks import contents
from vp_jax.errors import UserError
from vp_jax.records import record as record_lib
from vp_jax.records.checkpoints import Checkpoints
from vp_jax.records.saved_checkpoints import set_aside
from vp_jax.records.workdir import CHECKPOINTS
from vp_jax.step import step as step_lib
from vp_jax.step.forward import Parts
from vp_jax.step.fsdp import put_frozen
from vp_jax.step.sharding import put, replicated
from vp_jax.step.step import State
from vp_jax.training.evaluation import Evaluate, Evaluation, make_evaluate
from vp_jax.training.experiment import Experiment
from vp_jax.training.feed import Feed, make_feed
from vp_jax.training.zero_shot import ZeroShot


@dataclasses.dataclass
class Progress:
    """What a run knows of itself, beside its state; saved with every checkpoint.

    Attributes:
      best_step: of the best evaluation so far, -1 before the first.
      best: its metrics.
      stale: evaluations since then.
      zero_shot: accuracy before training on the split that is selected on; None where the head
        had nothing but random numbers.
      data_changes: how the data differ from those of the first start, as far as that was accepted.
      done: whether training is over.
      train_seconds, train_images: of steady training, the first step of a start left out.
      wall_seconds: of all starts together.
    """

    best_step: int = -1
    best: dict[str, float] = dataclasses.field(default_factory=dict)
    stale: int = 0
    zero_shot: float | None = None
    data_changes: list[str] = dataclasses.field(default_factory=list)
    done: bool = False
    train_seconds: float = 0.0
    train_images: int = 0
    wall_seconds: float = 0.0

    def record(self, step: int, metrics: dict[str, float], by: str = "accuracy") -> None:
        """Takes note of an evaluation; the first with the highest `by` is best."""
        if self.best_step < 0 or metrics[by] > self.best[by]:
            self.best_step, self.best, self.stale = step, metrics, 0
        else:
            self.stale += 1


@dataclasses.dataclass
class Outcome:
    """The end of training.

    Attributes:
      best: the parts that changed, mapping included, as they were at the best step.
      last: the state after the last step.
      progress: of the run.
      evaluate: of a split with any parts.
      frozen: the parts that did not change.
      zero_shot: the model before training.
    """

    best: Parts
    last: State
    progress: Progress
    evaluate: Evaluate
    frozen: Parts
    zero_shot: ZeroShot


def fresh_state(experiment: Experiment) -> State:
    """The state before the first step, also what checkpoints are restored into."""
    return step_lib.init_state(
        experiment.tuned,
        experiment.optimizer,
        experiment.key,
        experiment.mapping,
        None if experiment.counting is None else experiment.counting.zero(),
    )


def feed_of(experiment: Experiment, mesh: Mesh, batch_size: int | None = None) -> Feed:
    """The way in which a run's batches get to the devices; by default of the run's own size."""
    settings = experiment.loop
    size = batch_size or settings.batch_size
    return make_feed(experiment.task, size, experiment.seed, mesh, settings.workers)


def evaluate_of(experiment: Experiment, feed: Feed, mesh: Mesh) -> Evaluate:
    """The way in which a run's parts are evaluated, with the prompt and without."""
    prompt = {part: x for part, x in experiment.tuned.items() if part == "prompt"}
    return make_evaluate(
        experiment.forward,
        experiment.key,
        experiment.task,
        feed,
        mesh,
        put(prompt, replicated(mesh)),
    )


def make_meta(
    experiment: Experiment,
    identity: dict[str, Any],
    progress: Progress,
    step: int,
    about: dict[str, Any],
) -> dict[str, Any]:
    """What a checkpoint says of itself: whose it is, how far the run is, where in which data."""
    epoch, position = divmod(step, experiment.steps_per_epoch)
    return {
        "identity": identity,
        "progress": dataclasses.asdict(progress),
        "data_position": {"seed": experiment.seed, "epoch": epoch, "batch": position},
        "total_steps": experiment.total_steps,
        **about,
    }


class Start:
    """One start of a run, fresh or resumed; `Loop` and `LinearProbe` say what it does.

    Attributes:
      experiment, settings, workdir: of the run.
      mesh, everywhere: all devices, and the sharding that replicates.
      frozen: parameters of the parts that do not change, on the devices.
      feed: of the batches.
      evaluate: of a split with any parts.
      zero_shot: the model before training.
      checkpoints: of the run.
      about: its classes and data, as checkpoints have them.
      state, step, progress: fresh, or as the newest checkpoint has them.
      is_fresh: whether there was none.
    """

    progress_type = Progress

    def __init__(self, experiment: Experiment, workdir: pathlib.Path):
        self.started = time.monotonic()
        self.experiment = experiment
        self.settings = experiment.loop
        self.mesh = experiment.mesh
        self.everywhere = replicated(self.mesh)
        self.frozen = put_frozen(experiment.frozen, self.mesh)
        self.feed = self.make_feed()
        self.evaluate = evaluate_of(experiment, self.feed, self.mesh)
        self.zero_shot = ZeroShot(experiment, self.frozen, self.feed, self.mesh)
        self.checkpoints = Checkpoints(workdir / CHECKPOINTS)
        self.workdir = workdir
        self.about = record_lib.of_task(experiment.task, self.splits)
        fresh = self.fresh()
        found = self.checkpoints.restore_latest(fresh, self.identity)
        self.progress = self.progress_type()
        if found is not None:
            fresh, meta = found
            self.progress = self.progress_type(**meta["progress"])
            self._meet_data(meta, int(fresh.step))
        former = None if found is None else workdir
        record_lib.keep(workdir, self.about, self.splits, former)
        self.wall_before = self.progress.wall_seconds
        self.state: State = put(fresh, self.everywhere)
        self.step = int(fresh.step)
        self.is_fresh = found is None
        if self.is_fresh and (damaged := set_aside(workdir)):
            distributed.say(
                f"training begins anew: the checkpoints {', '.join(damaged)} in {workdir} are "
                "damaged and were set aside by an earlier start; ls -lR shows their files"
            )

    @property
    def identity(self) -> dict[str, Any]:
        """What a checkpoint must agree with to belong to this run."""
        return self.experiment.identity

    @property
    def splits(self) -> record_lib.Splits:
        """What the examples of each split are."""
        return self.experiment.task.contents

    def _meet_data(self, meta: dict[str, Any], step: int) -> None:
        """Refuses to go on with other data than the checkpoint's, unless they are accepted."""
        experiment, record = self.experiment, record_lib.parse(meta)
        record_lib.check_classes(record, experiment.task, self.workdir)
        texts = record_lib.changes(record, self.splits, self.workdir)
        texts += record_lib.schedule_changes(
            meta, step, experiment.steps_per_epoch, experiment.total_steps
        )
        if not texts:
            self.about["data"] = contents.joined(record.data or {}, self.about["data"])
            return
        what = f"the data are not those that the run in {self.workdir} began with: "
        what += "; ".join(texts)
        if not self.settings.accept_changed_data:
            raise UserError(f"{what}. {record_lib.ADVICE}")
        if seen := record_lib.formerly_trained_on(self.splits, self.workdir):
            texts.append(f"{seen:,} of the test examples have been trained on")
            what += f"; {texts[-1]}"
        self.progress.data_changes.append("; ".join(texts))
        if distributed.is_main():
            logging.warning("%s. This is accepted: %s", what, record_lib.CONSEQUENCES)

    def make_feed(self) -> Feed:
        """The way in which batches get to the devices."""
        return feed_of(self.experiment, self.mesh)

    def fresh(self) -> State:
        """The state before the first step, also what checkpoints are restored into."""
        return fresh_state(self.experiment)

    @property
    def selection(self) -> data.Split:
        """The split that is selected on."""
        return getattr(self.experiment.task, self.settings.select_on)

    @property
    def metric(self) -> str:
        """The name of the task's metric, by which the best step is chosen."""
        return self.experiment.task.task.metric

    def measured(self, evaluation: Evaluation) -> dict[str, float]:
        """What of an evaluation is written down: loss, accuracy, and the task's own metric."""
        every = {"loss": evaluation.loss, "accuracy": evaluation.accuracy}
        return {**every, self.metric: evaluation.metric}

    def parts(self) -> Parts:
        """All parameters as they are now."""
        return {**self.frozen, **self.state.mapping, **self.state.tuned}

    def save(self) -> None:
        """Starts to save a checkpoint.

        Raises:
          UserError: the disk is full; the checkpoints saved before are untouched.
        """
        self.progress.wall_seconds = self.wall_before + time.monotonic() - self.started
        meta = make_meta(self.experiment, self.identity, self.progress, self.step, self.about)
        self.checkpoints.save(self.state, meta, self.progress.best_step)

    def outcome(self) -> Outcome:
        """The end of the run, when all that was saved is on disk."""
        progress = self.progress
        progress.wall_seconds = self.wall_before + time.monotonic() - self.started
        best = self.state
        if progress.best_step not in (-1, self.step):
            best = self.checkpoints.read_one(
                progress.best_step, lambda step: self.checkpoints.restore(step, self.state)
            )
        best = put({**best.mapping, **best.tuned}, self.everywhere)
        return Outcome(best, self.state, progress, self.evaluate, self.frozen, self.zero_shot)
