"""The train loop: steps, evaluations and checkpoints."""

from __future__ import annotations

import time
from typing import Any

import jax
import numpy as np

from vp_jax import distributed
from vp_jax.errors import UserError
from vp_jax.host.interrupts import INTERRUPTS, Interrupted
from vp_jax.host.progress_bar import progress_bar
from vp_jax.records.mapping_file import write_mapping
from vp_jax.records.metrics import Metrics
from vp_jax.step import step as step_lib
from vp_jax.step.sharding import put
from vp_jax.training.advance import Advance, Log, Pace, make_advance, rows
from vp_jax.training.start import Outcome, Progress, Start


class Loop(Start):
    """Training by steps."""

    def run(self) -> Outcome:
        """Trains to the end.

        Raises:
          UserError: the prompt gets no gradient, the loss is not finite, or the disk is full.
          Interrupted: by a signal; the state has been saved.
        """
        metrics = self._open_metrics()
        total = self.experiment.total_steps
        if not self.is_fresh:
            distributed.say(f"going on from step {self.step} of {total}")
        if notice := self.experiment.advice.notice:
            distributed.say(notice)
        with self.checkpoints:
            try:
                if self.is_fresh:
                    self._begin()
                if not self.progress.done:
                    with INTERRUPTS.deferred():
                        self._train(metrics)
                self.checkpoints.wait()
            finally:
                metrics.close()
            return self.outcome()

    def _open_metrics(self) -> Any:
        schedules = self.experiment.schedules
        self._rates = jax.jit(lambda step: {part: f(step) for part, f in schedules.items()})
        return Metrics(self.workdir, self.step)

    def _begin(self) -> None:
        experiment = self.experiment
        if experiment.tally is not None:
            head = self.zero_shot.head()
            if experiment.head.head.refit == "epoch" and experiment.tuned:
                head = self._fit_mapping()
            self._set_mapping(head)
        if not experiment.total_steps:
            self._measure_zero_shot()

    def _measure_zero_shot(self) -> None:
        """Evaluates the model before training; before the first checkpoint, after the first step,
        which then does not wait for it."""
        if self.zero_shot.exists and len(self.selection):
            result = self.evaluate(self.zero_shot.parts(), self.selection)
            self.progress.zero_shot = result.metric

    def _fit_mapping(self) -> dict[str, Any]:
        return self.zero_shot.fit(self.parts(), self.experiment.task.train)

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

    def _train(self, metrics: Metrics) -> None:
        experiment, settings = self.experiment, self.settings
        pace = Pace(experiment.steps_per_epoch, settings.log_every_steps)
        total_steps = experiment.total_steps
        advance = self._make_advance(pace)
        needs_zero_shot = self.is_fresh
        first_of_start, allowed = self.step, 1
        total, seen = self._images_seen(total_steps), self._images_seen(self.step)
        shown: dict[str, str] = {}
        with progress_bar(total, "training", initial=seen, unit_scale=True) as bar:
            while self.step < total_steps and not self.progress.done:
                clock = time.monotonic()
                if self._refits():
                    clock += self._refit()
                begun, stop = self.step, self._next_stop(allowed)
                self.state, log, out = advance(self.state, self.frozen, begun, stop)
                failed, logged = self._read(log)  # waits for the devices
                self.step = stop
                seconds = time.monotonic() - clock
                examples = self._images_seen(stop) - self._images_seen(begun)
                if begun == 0:
                    self._check_gradient(out)
                if begun > first_of_start:  # the first call of a start compiles
                    self.progress.train_seconds += seconds
                    self.progress.train_images += examples
                    wanted = settings.call_seconds * (stop - begun) / seconds
                    allowed = min(max(int(wanted), 1), 2 * allowed, pace.most_steps)
                allowed, signal = distributed.least(allowed, -INTERRUPTS.number)
                bar.update(examples)
                for row in logged:
                    shown.update(self._write(metrics, *row))
                bar.set_postfix(shown, refresh=False)
                self._check_finite(failed)

                epoch, position = divmod(self.step, experiment.steps_per_epoch)
                last = self.step == total_steps
                evaluates = position == 0 and (epoch % settings.eval_every_epochs == 0 or last)
                stops = signal != 0
                if evaluates or stops or self._is_checkpoint_step():
                    if needs_zero_shot:
                        self._measure_zero_shot()
                        needs_zero_shot = False
                    if evaluates:
                        self._evaluate(metrics, last)
                        shown[settings.select_on] = f"{self._best_so_far():.1%}"
                    metrics.sync()  # Rows up to a checkpoint are not written again.
                    self.save()
                if stops:
                    self.checkpoints.wait()
                    bar.close()
                    distributed.say(f"saved step {self.step} of {total_steps} in {self.workdir}")
                    by = INTERRUPTS.received or "a signal to another process"
                    raise Interrupted(by, -signal)

    def _make_advance(self, pace: Pace) -> Advance:
        experiment = self.experiment
        step = step_lib.make_train_step(
            experiment.train_forward, experiment.optimizer, experiment.counting, experiment.mixing
        )
        split, total_steps = experiment.task.train, experiment.total_steps
        return make_advance(step, self.feed, split, pace, total_steps, self.mesh)

    def _read(self, log: Log) -> tuple[Any, list[Any]]:
        """The step that failed, and the rows of a log, on the host."""
        return int(self.state.failed_step), rows(log)

    def _next_stop(self, allowed: int) -> int:
        """Where the next call ends: after `allowed` steps, or at what must be looked at before."""
        epoch = self.experiment.steps_per_epoch
        stops = [self.step + allowed, (self.step // epoch + 1) * epoch, self.experiment.total_steps]
        if every := self.settings.checkpoint_every_steps:
            stops.append((self.step // every + 1) * every)
        return min(stops)

    def _images_seen(self, step: int) -> int:
        epoch, position = divmod(step, self.experiment.steps_per_epoch)
        return epoch * len(self.experiment.task.train) + position * self.settings.batch_size

    def _is_checkpoint_step(self) -> bool:
        every = self.settings.checkpoint_every_steps
        return every > 0 and self.step % every == 0

    def _write(
        self, metrics: Metrics, step: int, totals: dict[str, float], grad_norm: float
    ) -> dict[str, str]:
        """Writes a row of metrics; returns what the progress bar shows of it."""
        rates = jax.device_get(self._rates(np.int32(step - 1)))
        metrics.write(step, self._row(step, totals, grad_norm, rates))
        return shown_in_bar(totals)

    def _row(
        self, step: int, totals: dict[str, float], grad_norm: float, rates: dict[str, Any]
    ) -> dict[str, float]:
        return {
            "epoch": step / self.experiment.steps_per_epoch,
            "train/loss": totals["loss"],
            "train/accuracy": totals["accuracy"],
            "train/grad_norm": grad_norm,
            **learning_rates(rates),
        }

    def _evaluate(self, metrics: Metrics, last: bool) -> None:
        name, progress = self.settings.select_on, self.progress
        evaluation = self.evaluate(self.parts(), self.selection)
        result = self.measured(evaluation)
        metrics.write(self.step, {f"{name}/{key}": value for key, value in result.items()})
        progress.record(self.step, result, self.metric)
        if progress.best_step == self.step:
            experiment = self.experiment
            write_mapping(
                experiment.head.head,
                self.state.mapping,
                experiment.backbone.source_classes,
                experiment.task.class_names,
                self.workdir,
            )
        progress.done = last or self._is_stale(progress)

    def _is_stale(self, progress: Progress) -> bool:
        return 0 < self.settings.patience <= progress.stale

    def _best_so_far(self) -> float:
        return self.progress.best[self.metric]

    def _check_gradient(self, out: step_lib.StepMetrics) -> None:
        backbone, weights = self.experiment.backbone.name, self.experiment.advice.weights
        if "prompt" in self.experiment.tune and np.any(np.asarray(out["grad_norm/prompt"]) == 0):
            raise UserError(
                "the gradient with respect to the prompt is exactly zero at the first step, so "
                "nothing can be learned: the backbone or the head gives the same output for every "
                f"image. Check the weights of {backbone} ({weights}): a head of zeros does this"
            )
        if np.any(np.asarray(out["grad_norm"]) == 0):
            raise UserError(
                f"the gradient with respect to {' and '.join(self.experiment.tuned)} is exactly "
                "zero at the first step, so nothing can be learned. Check the weights of "
                f"{backbone} ({weights})"
            )

    def _check_finite(self, failed: int) -> None:
        if failed >= 0:
            steps = self.checkpoints.steps()
            kept = f"checkpoints of the steps {steps} are kept" if steps else "nothing was saved"
            raise UserError(
                f"the loss is not finite at step {failed}; {kept} in {self.workdir}. "
                f"{self.experiment.advice.divergence}"
            )


def shown_in_bar(totals: dict[str, float]) -> dict[str, str]:
    """What the progress bar shows of a row."""
    return {"loss": f"{totals['loss']:.3f}", "accuracy": f"{totals['accuracy']:.1%}"}


def learning_rates(rates: dict[str, Any]) -> dict[str, float]:
    """Of the first part, whose curve has the shape of all; of each where they differ; of none where
    the optimiser does not tell."""
    if not rates:
        return {}
    rates = {part: float(rate) for part, rate in rates.items()}
    each = {f"learning_rate/{p}": rate for p, rate in rates.items()}
    first = next(iter(rates.values()))
    return {"learning_rate": first, **(each if len(set(rates.values())) > 1 else {})}
