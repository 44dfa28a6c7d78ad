"""The train loop: steps, evaluations, checkpoints, and the end of a run."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import sys
import time
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vp_jax.errors import UserError
from vp_jax.interrupts import INTERRUPTS, Interrupted
from vp_jax.training import step as step_lib
from vp_jax.training.batching import train_batch
from vp_jax.training.checkpoints import Checkpoints
from vp_jax.training.evaluation import Evaluate, make_evaluate
from vp_jax.training.forward import Parts
from vp_jax.training.mapping_file import write_mapping
from vp_jax.training.metrics import Metrics
from vp_jax.training.progress_bar import progress_bar
from vp_jax.training.setup import Experiment
from vp_jax.training.sharding import by_example, make_mesh, put, replicated
from vp_jax.training.step import State
from vp_jax.training.workdir import CHECKPOINTS
from vp_jax.training.zero_shot import ZeroShot

STEPS_IN_FLIGHT = 2


@dataclasses.dataclass
class Progress:
    """What a run knows of itself, beside its state; saved with every checkpoint.

    Attributes:
      best_step: of the best evaluation so far, -1 before the first.
      best: its metrics.
      stale: evaluations since then.
      zero_shot: accuracy before training on the split that is selected on; None where the head
        had nothing but random numbers.
      done: whether training is over.
      train_seconds, train_images: of steady training, the first step of a start left out.
      wall_seconds: of all starts together.
    """

    best_step: int = -1
    best: dict[str, float] = dataclasses.field(default_factory=dict)
    stale: int = 0
    zero_shot: float | None = None
    done: bool = False
    train_seconds: float = 0.0
    train_images: int = 0
    wall_seconds: float = 0.0

    def record(self, step: int, metrics: dict[str, float]) -> None:
        """Takes note of an evaluation; the earliest of equals is the best."""
        if self.best_step < 0 or metrics["accuracy"] > self.best["accuracy"]:
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


def compile_train_step(experiment: Experiment, mesh: Mesh) -> step_lib.TrainStep:
    """The jitted step: state donated, batch split over the mesh, everything else replicated."""
    everywhere = replicated(mesh)
    return jax.jit(
        step_lib.make_train_step(
            experiment.train_forward, experiment.optimizer, experiment.counting
        ),
        in_shardings=(everywhere, everywhere, by_example(mesh)),
        out_shardings=everywhere,
        donate_argnums=0,
    )


def fresh_state(experiment: Experiment) -> State:
    """The state before the first step, also what checkpoints are restored into."""
    return step_lib.init_state(
        experiment.tuned,
        experiment.optimizer,
        experiment.key,
        experiment.mapping,
        None if experiment.counting is None else experiment.counting.zero(),
    )


def checkpoint_meta(experiment: Experiment, progress: Progress, step: int) -> dict[str, Any]:
    """What a checkpoint says of itself: whose it is, how far the run is, where in the data."""
    epoch, position = divmod(step, experiment.steps_per_epoch)
    return {
        "identity": experiment.identity,
        "progress": dataclasses.asdict(progress),
        "data_position": {"seed": experiment.config.seed, "epoch": epoch, "batch": position},
    }


class Loop:
    """One start of a run, fresh or resumed."""

    def __init__(self, experiment: Experiment, workdir: pathlib.Path):
        self.started = time.monotonic()
        self.experiment = experiment
        self.config: ConfigDict = experiment.config
        self.mesh = make_mesh()
        self.everywhere = replicated(self.mesh)
        self.frozen = put(experiment.frozen, self.everywhere)
        self.evaluate = make_evaluate(
            experiment.forward, experiment.key, self.config.batch_size, self.mesh
        )
        self.zero_shot = ZeroShot(experiment, self.frozen, self.mesh)
        self.checkpoints = Checkpoints(workdir / CHECKPOINTS)
        self.workdir = workdir
        fresh = fresh_state(experiment)
        found = self.checkpoints.restore_latest(fresh, experiment.identity)
        self.progress = Progress()
        if found is not None:
            fresh, meta = found
            self.progress = Progress(**meta["progress"])
        self.wall_before = self.progress.wall_seconds
        self.state: State = put(fresh, self.everywhere)
        self.step = int(fresh.step)
        self.is_fresh = found is None
        if found is not None:
            print(f"going on from step {self.step} of {experiment.total_steps}", file=sys.stderr)

    def run(self) -> Outcome:
        """Trains to the end.

        Raises:
          UserError: the prompt gets no gradient, the loss is not finite, or the disk is full.
          Interrupted: by a signal; the state has been saved.
        """
        metrics = Metrics(self.workdir, self.step)
        try:
            if self.is_fresh:
                self._begin()
            if not self.progress.done:
                with INTERRUPTS.deferred():
                    self._train(metrics)
            self.checkpoints.wait()
        finally:
            metrics.close()
        return self._outcome()

    def _begin(self) -> None:
        experiment = self.experiment
        if experiment.tally is not None:
            head = self.zero_shot.head()
            if experiment.head.head.refit == "epoch" and experiment.tuned:
                head = self._fit_mapping()
            self._set_mapping(head)
        if self.zero_shot.exists and len(self._selection):
            result = self.evaluate(self.zero_shot.parts(), self._selection)
            self.progress.zero_shot = result.accuracy

    def _parts(self) -> Parts:
        return {**self.frozen, **self.state.mapping, **self.state.tuned}

    def _fit_mapping(self) -> dict[str, Any]:
        return self.zero_shot.fit(self._parts(), self.experiment.task.train)

    def _set_mapping(self, head: dict[str, Any]) -> None:
        self.state = self.state._replace(
            mapping=put({"head": head}, self.everywhere),
            counts=put(np.zeros(self.state.counts.shape, np.float32), self.everywhere),
        )

    def _refits(self) -> bool:
        """Whether the mapping is fitted anew before this step.

        That is at the beginning of an epoch, not at the end, so that prompts are evaluated and kept
        with the mapping that they were trained with. It follows from the state, so that a run that
        goes on from a checkpoint of an epoch's end does it too.
        """
        is_new_epoch = self.step > 0 and self.step % self.experiment.steps_per_epoch == 0
        return is_new_epoch and self.experiment.head.head.refit == "epoch"

    def _refit(self) -> float:
        """Fits the mapping anew; returns the seconds that it took."""
        jax.block_until_ready(self.state)
        start = time.monotonic()
        if self.experiment.counting is None:
            self._set_mapping(self._fit_mapping())
        else:
            counts = np.asarray(jax.device_get(self.state.counts))
            self._set_mapping(self.experiment.head.head.fit(counts))
        return time.monotonic() - start

    @property
    def _selection(self):
        return getattr(self.experiment.task, self.config.select_on)

    def _train(self, metrics: Metrics) -> None:
        experiment, config = self.experiment, self.config
        train_step = compile_train_step(experiment, self.mesh)
        split, batch_size = experiment.task.train, config.batch_size
        in_flight: collections.deque[jax.Array] = collections.deque()
        first_of_start = self.step
        clock = time.monotonic()
        shown: dict[str, str] = {}
        total, seen = config.epochs * len(split), self._images_seen()
        with progress_bar(total, "training", initial=seen, unit_scale=True) as bar:
            while self.step < experiment.total_steps and not self.progress.done:
                if self._refits():
                    clock += self._refit()
                batch, examples = train_batch(split, self.step, batch_size, config.seed, self.mesh)
                self.state, out = train_step(self.state, self.frozen, batch)
                self.step += 1
                in_flight.append(out["loss"])
                if len(in_flight) > STEPS_IN_FLIGHT:
                    in_flight.popleft().block_until_ready()
                if self.step == 1:
                    self._check_gradient(out)
                if self.step - first_of_start == 1:
                    out["loss"].block_until_ready()
                    clock = time.monotonic()
                else:
                    self.progress.train_images += examples
                bar.update(examples)

                epoch, position = divmod(self.step, experiment.steps_per_epoch)
                last = self.step == experiment.total_steps
                evaluates = position == 0 and (epoch % config.eval_every_epochs == 0 or last)
                if position % config.log_every_steps == 0:
                    row = self._log(metrics, out)
                    shown.update(
                        loss=f"{row['train/loss']:.3f}", accuracy=f"{row['train/accuracy']:.1%}"
                    )
                    bar.set_postfix(shown, refresh=False)
                stops = INTERRUPTS.received is not None
                if evaluates or stops or self._is_checkpoint_step():
                    out["loss"].block_until_ready()
                    self.progress.train_seconds += time.monotonic() - clock
                    if evaluates:
                        self._evaluate(metrics, last)
                        shown["val" if config.select_on == "val" else "test"] = (
                            f"{self.progress.best['accuracy']:.1%}"
                        )
                    self._check_finite()
                    self._save()
                    clock = time.monotonic()
                if stops and not self.progress.done:
                    self.checkpoints.wait()
                    bar.close()
                    print(
                        f"saved step {self.step} of {experiment.total_steps} in {self.workdir}",
                        file=sys.stderr,
                    )
                    raise Interrupted(INTERRUPTS.received)

    def _images_seen(self) -> int:
        epoch, position = divmod(self.step, self.experiment.steps_per_epoch)
        return epoch * len(self.experiment.task.train) + position * self.config.batch_size

    def _is_checkpoint_step(self) -> bool:
        every = self.config.checkpoint_every_steps
        return every > 0 and self.step % every == 0

    def _log(self, metrics: Metrics, out: step_lib.StepMetrics) -> dict[str, float]:
        totals = step_lib.means(self.state.sums)
        self._check_finite()
        row = {
            "epoch": self.step / self.experiment.steps_per_epoch,
            "train/loss": totals["loss"],
            "train/accuracy": totals["accuracy"],
            "train/grad_norm": float(out["grad_norm"]),
            **self._learning_rates(),
        }
        metrics.write(self.step, row)
        self.state = self.state._replace(sums=put(step_lib.zero_sums(), self.everywhere))
        return row

    def _learning_rates(self) -> dict[str, float]:
        """Of the first part, whose curve has the shape of all; of each where they differ."""
        rates = {p: float(f(self.step - 1)) for p, f in self.experiment.schedules.items()}
        each = {f"learning_rate/{p}": rate for p, rate in rates.items()}
        first = next(iter(rates.values()))
        return {"learning_rate": first, **(each if len(set(rates.values())) > 1 else {})}

    def _evaluate(self, metrics: Metrics, last: bool) -> None:
        name, progress = self.config.select_on, self.progress
        evaluation = self.evaluate(self._parts(), self._selection)
        result = {"loss": evaluation.loss, "accuracy": evaluation.accuracy}
        metrics.write(self.step, {f"{name}/{key}": value for key, value in result.items()})
        progress.record(self.step, result)
        if progress.best_step == self.step:
            write_mapping(self.experiment, self.state.mapping, self.workdir)
        patience = self.config.patience
        progress.done = last or (patience > 0 and progress.stale >= patience)

    def _save(self) -> None:
        experiment, progress = self.experiment, self.progress
        progress.wall_seconds = self.wall_before + time.monotonic() - self.started
        meta = checkpoint_meta(experiment, progress, self.step)
        self.checkpoints.save(self.state, meta, progress.best_step)

    def _check_gradient(self, out: step_lib.StepMetrics) -> None:
        if "prompt" in self.config.tune and float(out["grad_norm/prompt"]) == 0:
            raise UserError(
                "the gradient with respect to the prompt is exactly zero at the first step, so "
                "nothing can be learned: the backbone or the head gives the same output for every "
                f"image. Check the weights of {self.config.backbone.name} "
                "(--config.backbone.weights): a head of zeros does this"
            )
        if float(out["grad_norm"]) == 0:
            raise UserError(
                f"the gradient with respect to {' and '.join(self.experiment.tuned)} is exactly "
                "zero at the first step, so nothing can be learned. Check the weights of "
                f"{self.config.backbone.name} (--config.backbone.weights)"
            )

    def _check_finite(self) -> None:
        failed = int(self.state.failed_step)
        if failed >= 0:
            raise UserError(
                f"the loss is not finite at step {failed}; checkpoints up to the one before it are "
                f"kept in {self.workdir}. Lower --config.optimizer.learning_rate "
                f"({self.config.optimizer.learning_rate}) or lengthen "
                f"--config.schedule.warmup_steps ({self.config.schedule.warmup_steps}) in another "
                "--workdir"
            )

    def _outcome(self) -> Outcome:
        progress = self.progress
        progress.wall_seconds = self.wall_before + time.monotonic() - self.started
        best = self.state
        if progress.best_step not in (-1, self.step):
            best = self.checkpoints.restore(progress.best_step, self.state)
        best = put({**best.mapping, **best.tuned}, self.everywhere)
        self.checkpoints.close()
        return Outcome(best, self.state, progress, self.evaluate, self.frozen, self.zero_shot)
