"""One start of a run: what it begins or goes on with, how it saves, how it ends."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jax.sharding import Mesh

from vp_jax import data, distributed
from vp_jax.data.tasks import contents
from vp_jax.errors import UserError
from vp_jax.records import record as record_lib
from vp_jax.records.checkpoints.manager import Checkpoints
from vp_jax.records.checkpoints.saved import set_aside
from vp_jax.records.loggers.following import NOBODY, Followers
from vp_jax.records.names import CHECKPOINTS
from vp_jax.step.forward import OF_PROMPT, Parts
from vp_jax.step.fsdp import put_frozen
from vp_jax.step.sharding import put, replicated
from vp_jax.step.step import State
from vp_jax.training.evaluation import Evaluate, Evaluation, make_evaluate
from vp_jax.training.experiment import Experiment
from vp_jax.training.feed import Feed, make_feed
from vp_jax.training.fitting.mapping_fit import make_fit
from vp_jax.training.members import Members
from vp_jax.training.progress import Progress
from vp_jax.training.zero_shot import ZeroShot


@dataclasses.dataclass
class Outcome:
    """The end of training.

    Attributes:
      best: the parts that changed, mapping included, as they were at the best step.
      best_state: the whole state then.
      last: the state after the last step.
      progress: of the run.
      evaluate: of a split with any parts.
      frozen: the parts that did not change.
      zero_shot: the model before training.
    """

    best: Parts
    best_state: State
    last: State
    progress: Progress
    evaluate: Evaluate
    frozen: Parts
    zero_shot: ZeroShot


def fresh_state(experiment: Experiment) -> State:
    """The state before the first step, also what checkpoints are restored into."""
    return Members([experiment]).fresh()


def feed_of(
    experiment: Experiment,
    mesh: Mesh,
    batch_size: int | None = None,
    others: Sequence[Experiment] = (),
) -> Feed:
    """The way in which a run's batches get to the devices; by default of the run's own size.

    Members of a sweep that are `others` than the first have their images there too.
    """
    settings = experiment.loop
    size, more = batch_size or settings.batch_size, [(e.task, e.seed) for e in others]
    return make_feed(experiment.task, size, experiment.seed, mesh, settings.workers, more)


def evaluate_of(experiment: Experiment, feed: Feed, mesh: Mesh) -> Evaluate:
    """The way in which a run's parts are evaluated; those without a prompt unprompted."""
    of_prompt = {p: x for p, x in experiment.initial.items() if p in OF_PROMPT}
    prompt = put(of_prompt, replicated(mesh))
    return make_evaluate(experiment.forward, experiment.key, experiment.task, feed, mesh, prompt)


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
        "progress": progress.to_json(),
        "data_position": {"seed": experiment.seed, "epoch": epoch, "batch": position},
        "total_steps": experiment.total_steps,
        **about,
    }


class Start:
    """One start of a run or a sweep, fresh or resumed; `Loop` and `LinearProbe` say what it does.

    Args:
      experiments: the members of a sweep; a single one for a run.
      workdir: of the run or the sweep.
      folders: where each member writes what is its own; by default that of a run.
      followers: who else gets the metrics of each member.

    Attributes:
      members: of the sweep.
      experiment, settings: of the first of them.
      workdir, folders, followers: as above.
      mesh, everywhere: all devices, and the sharding that replicates.
      frozen: parameters of the parts that do not change, on the devices.
      feed: of the batches.
      evaluate: of a split with any parts of one member.
      zero_shots: each member's model before training.
      checkpoints: of the run.
      about: its classes and data, as checkpoints have them.
      state, step, progress: fresh, or as the newest checkpoint has them.
      best: of several members: the states at each one's best step; there `step` is `[N]`.
      is_fresh: whether there was none.
    """

    def __init__(
        self,
        experiments: Sequence[Experiment],
        workdir: pathlib.Path,
        folders: Sequence[pathlib.Path] = (),
        followers: Sequence[Followers] = (),
    ):
        self.started = time.monotonic()
        self.members = members = Members(experiments)
        self.experiment = experiment = members.first
        self.settings = experiment.loop
        self.folders = folders or (workdir,)
        self.followers = followers or [NOBODY] * len(self.folders)
        self.mesh = experiment.mesh
        self.everywhere = replicated(self.mesh)
        self.frozen = put_frozen(experiment.frozen, self.mesh)
        self.feed = feed_of(experiment, self.mesh, others=experiments[1:])
        self.evaluate = evaluate_of(experiment, self.feed, self.mesh)
        fit = None
        if experiment.tally is not None and not members.canvases:
            fit = make_fit(experiment.tally, self.feed, self.mesh)
        self.zero_shots = [
            ZeroShot(e, self.frozen, self.feed, self.mesh, fit) for e in members.experiments
        ]
        self.checkpoints = Checkpoints(workdir / CHECKPOINTS)
        self.workdir = workdir
        self.about = record_lib.of_task(experiment.task, self.splits)
        self.state: State = members.fresh()
        self.best: State | None = None
        if len(members) > 1:
            self.best = self.state._replace(step=jnp.zeros(len(members), jnp.int32))
        found = self.checkpoints.restore_latest(self.kept, self.identity)
        self.progress = Progress(
            members=[Progress() for _ in experiments] if len(members) > 1 else []
        )
        if found is not None:
            kept, meta = found
            if self.best is None:
                self.state = kept
            else:
                self.state, self.best = kept["now"], kept["best"]
            self.progress = Progress(**meta["progress"])
            self._meet_data(meta, int(self.state.step))
        self.progress.stopped = self.progress.stopped or [-1] * len(members)
        former = None if found is None else workdir
        record_lib.keep(workdir, self.about, self.splits, former)
        self.wall_before = self.progress.wall_seconds
        self.step = int(self.state.step)
        self.state, self.best = put((self.state, self.best), self.everywhere)
        self.is_fresh = found is None
        if self.is_fresh and (damaged := set_aside(workdir)):
            distributed.say(
                f"training begins anew: the checkpoints {', '.join(damaged)} in {workdir} are "
                "damaged and were set aside by an earlier start; ls -lR shows their files"
            )

    @property
    def kept(self) -> Any:
        """What checkpoints hold."""
        return self.state if self.best is None else {"now": self.state, "best": self.best}

    @property
    def identity(self) -> dict[str, Any]:
        """What a checkpoint must agree with to belong to this run: whose prompts they are."""
        prompts = [e.identity["prompt"] for e in self.members.experiments]
        return {**self.experiment.identity, "prompt": prompts if len(prompts) > 1 else prompts[0]}

    @property
    def splits(self) -> record_lib.Splits:
        """What the examples of each split are, for every seed."""
        others = {e.seed: e.task for e in self.members.experiments}
        del others[self.experiment.seed]
        of_others = {
            f"{name} of seed {seed}": task.contents[name]
            for seed, task in others.items()
            for name in ("train", "val")
        }
        return {**self.experiment.task.contents, **of_others}

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

    def split(self, name: str) -> list[data.Split]:
        """Each member's split of a name; all have the same one for test."""
        tasks = [
            self.experiment.task if name == "test" else e.task for e in self.members.experiments
        ]
        return [getattr(task, name) for task in tasks]

    @property
    def metric(self) -> str:
        """The name of the task's metric, by which the best step is chosen."""
        return self.experiment.task.task.metric

    def measured(self, evaluation: Evaluation) -> dict[str, float]:
        """What of an evaluation is written down: loss, accuracy, and the task's own metric."""
        every = {"loss": evaluation.loss, "accuracy": evaluation.accuracy}
        return {**every, self.metric: evaluation.metric}

    def parts(self, state: State) -> Parts:
        """All parameters, those that change as a state has them."""
        return {**self.frozen, **state.mapping, **state.tuned}

    def save(self) -> None:
        """Starts to save a checkpoint.

        Raises:
          UserError: the disk is full; the checkpoints saved before are untouched.
        """
        self.progress.wall_seconds = self.wall_before + time.monotonic() - self.started
        meta = make_meta(self.experiment, self.identity, self.progress, self.step, self.about)
        self.checkpoints.save(self.step, self.kept, meta, self.progress.best_step)

    def outcomes(self) -> list[Outcome]:
        """The end of every member, when all that was saved is on disk."""
        progress, last, best = self.progress, self.state, self.best
        progress.wall_seconds = self.wall_before + time.monotonic() - self.started
        if best is None:
            best = last
            if progress.best_step not in (-1, self.step):
                best = self.checkpoints.read_one(
                    progress.best_step, lambda step: self.checkpoints.restore(step, self.state)
                )
        else:
            last, best = jax.device_get((last, best))
            last = last._replace(step=np.array(progress.stopped, np.int32))
        of_all = {
            name: getattr(progress, name)
            for name in ("data_changes", "train_seconds", "wall_seconds")
        }
        images = progress.train_images // len(self.members)
        outcomes = []
        for i, own in enumerate(progress.each):
            own_best = self.members.member(best, i)
            outcomes.append(
                Outcome(
                    put({**own_best.mapping, **own_best.tuned}, self.everywhere),
                    own_best,
                    self.members.member(last, i),
                    dataclasses.replace(own, done=True, train_images=images, **of_all),
                    self.evaluate,
                    self.frozen,
                    self.zero_shots[i],
                )
            )
        return outcomes
