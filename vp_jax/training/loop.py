"""The train loop: steps, evaluations and checkpoints."""

from __future__ import annotations

import collections
import sys
import time
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from vp_jax.errors import UserError
from vp_jax.interrupts import INTERRUPTS, Interrupted
from vp_jax.training import step as step_lib
from vp_jax.training.batching import train_batch
from vp_jax.training.mapping_file import write_mapping
from vp_jax.training.metrics import Metrics
from vp_jax.training.progress_bar import progress_bar
from vp_jax.training.setup import Experiment
from vp_jax.training.sharding import by_example, put, replicated
from vp_jax.training.start import Outcome, Start

STEPS_IN_FLIGHT = 2


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


class Loop(Start):
    """Training by steps."""

    def run(self) -> Outcome:
        """Trains to the end.

        Raises:
          UserError: the prompt gets no gradient, the loss is not finite, or the disk is full.
          Interrupted: by a signal; the state has been saved.
        """
        metrics = Metrics(self.workdir, self.step)
        if not self.is_fresh:
            total = self.experiment.total_steps
            print(f"going on from step {self.step} of {total}", file=sys.stderr)
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

    def _begin(self) -> None:
        experiment = self.experiment
        if experiment.tally is not None:
            head = self.zero_shot.head()
            if experiment.head.head.refit == "epoch" and experiment.tuned:
                head = self._fit_mapping()
            self._set_mapping(head)
        if self.zero_shot.exists and len(self.selection):
            result = self.evaluate(self.zero_shot.parts(), self.selection)
            self.progress.zero_shot = result.accuracy

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
                    self.save()
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
        evaluation = self.evaluate(self.parts(), self.selection)
        result = {"loss": evaluation.loss, "accuracy": evaluation.accuracy}
        metrics.write(self.step, {f"{name}/{key}": value for key, value in result.items()})
        progress.record(self.step, result)
        if progress.best_step == self.step:
            write_mapping(self.experiment, self.state.mapping, self.workdir)
        patience = self.config.patience
        progress.done = last or (patience > 0 and progress.stale >= patience)

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
