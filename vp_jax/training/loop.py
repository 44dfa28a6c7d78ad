"""The train loop: steps, evaluations and checkpoints."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from vp_jax import data, distributed
from vp_jax.errors import UserError
from vp_jax.host.interrupts import INTERRUPTS, Interrupted
from vp_jax.host.progress_bar import progress_bar, waiting
from vp_jax.records.checkpoints.manager import Checkpoints
from vp_jax.records.mapping_file import write_mapping
from vp_jax.records.metrics import Metrics
from vp_jax.records.names import CHECKPOINTS
from vp_jax.records.record import keep, of_task
from vp_jax.step import step as step_lib
from vp_jax.step.forward import Parts
from vp_jax.step.sharding import put
from vp_jax.training.advance import Pace, make_advance, rows
from vp_jax.training.evaluation import Evaluation, make_evaluate_together
from vp_jax.training.fitting import centroids
from vp_jax.training.fitting.features import make_compute
from vp_jax.training.fitting.head_start import fit_head
from vp_jax.training.members import pick
from vp_jax.training.start import Outcome, Start, make_meta


class Loop(Start):
    """Training by steps, of one run or of all members of a sweep.

    A member whose loss is not finite, or that is to stop early, changes no more; the others go on.
    """

    def run(self) -> list[Outcome]:
        """Trains to the end; returns that of every member, also of those that failed.

        Raises:
          UserError: a prompt gets no gradient, no member's loss is finite, or the disk is full.
          Interrupted: by a signal; the state has been saved.
        """
        members, each = self.members, [e.schedules for e in self.members.experiments]
        self._rates = jax.jit(lambda step: [{p: f(step) for p, f in own.items()} for own in each])
        keys = members.stack([e.key for e in members.experiments])
        tasks = [e.task for e in members.experiments]
        self._together = make_evaluate_together(
            members.eval_step(), keys, tasks, self.feed, self.mesh
        )
        since = -1 if self.is_fresh else self.step
        where = zip(self.folders, self.followers, strict=True)
        self._metrics = [Metrics(folder, since, followers) for folder, followers in where]
        if not self.is_fresh:
            distributed.say(f"going on from step {self.step} of {self.experiment.total_steps}")
        if self.experiment.advice.notice:
            distributed.say(self.experiment.advice.notice)
        with self.checkpoints:
            with contextlib.ExitStack() as at_end:
                for metrics in self._metrics:
                    at_end.callback(metrics.close)
                if self.is_fresh:
                    self._begin()
                if not self.progress.done:
                    with INTERRUPTS.deferred():
                        self._train()
                with waiting(f"saving the checkpoint in {self.workdir}"):
                    self.checkpoints.wait()
            return self.outcomes()

    def _begin(self) -> None:
        experiment = self.experiment
        if experiment.prompt.routings:
            each = {e.seed: e for e in self.members.experiments}
            by_seed = {seed: centroids.find(own) for seed, own in each.items()}
            found = self.members.stack([by_seed[e.seed] for e in self.members.experiments])
            mapping = {**self.state.mapping, **put(found, self.everywhere)}
            self.state = self.state._replace(mapping=mapping)
        if experiment.tally is not None:
            heads = [zero_shot.head() for zero_shot in self.zero_shots]
            if experiment.head.head.refit == "epoch" and experiment.tuned:
                heads = self._fit_mappings()
            self._set_mappings(heads)
        if self.settings.fits_head:
            self._fit_heads()
        if not experiment.total_steps:
            self._measure_zero_shot()

    def zero_shot_on(self, name: str) -> list[Evaluation | None]:
        """Each member's model before training on its split of a name; None where it has none."""
        found: dict[Any, Evaluation] = {}
        every: list[Evaluation | None] = []
        for own, zero_shot, split in zip(
            self.members.experiments, self.zero_shots, self.split(name), strict=True
        ):
            key = own.seed if own.mapping or name != "test" else "all"
            if zero_shot.exists and len(split) and key not in found:
                found[key] = self.evaluate(zero_shot.parts(), split)
            every.append(found.get(key))
        return every

    def _measure_zero_shot(self) -> None:
        """Evaluates the models before training; before the first checkpoint, after the first step,
        which then does not wait for it."""
        found = self.zero_shot_on(self.settings.select_on)
        for progress, evaluation in zip(self.progress.each, found, strict=True):
            progress.zero_shot = None if evaluation is None else evaluation.metric

    def _fit_mappings(self) -> list[dict[str, Any]]:
        """The members' mappings, fitted by a pass over the training images."""
        each = zip(self.zero_shots, self._parts_of_each(), strict=True)
        return [zero_shot.fit(parts) for zero_shot, parts in each]

    def _fit_heads(self) -> None:
        """Begins with heads that are fitted to what they see, and evaluates them: a run does not
        end worse, on what it selects by, than it begins."""
        experiments, fitted = self.members.experiments, {}
        starts = [(e.seed, str(e.prompt)) for e in experiments]  # Learning rates change none.
        for start, own, parts in zip(starts, experiments, self._parts_of_each(), strict=True):
            if start not in fitted:
                compute = make_compute(own.outputs, own.key, self.feed, self.mesh)
                fitted[start] = fit_head(own, parts, compute)
        mapping, counts = self.state.mapping, self.state.counts
        fresh = put(self.members.fresh([fitted[start] for start in starts]), self.everywhere)
        self.state = fresh._replace(mapping=mapping, counts=counts)
        self._measure_zero_shot()
        self._evaluate(last=False)
        self.save()

    def _parts_of_each(self) -> list[Parts]:
        """All parameters of every member, as its own run has them."""
        state = self.state if len(self.members) == 1 else jax.device_get(self.state)
        each = [self.members.member(state, i) for i in range(len(self.members))]
        return [self.parts(put(own, self.everywhere)) for own in each]

    def _set_mappings(self, heads: list[dict[str, Any]]) -> None:
        """Takes these mappings, where a member trains, and counts anew."""
        part = "base" if "base" in self.experiment.mapping else "head"
        names = self.experiment.mapping[part]
        stacked = self.members.stack([{part: {n: head[n] for n in names}} for head in heads])
        mapping = {**self.state.mapping, **stacked}
        counts = np.zeros(self.state.counts.shape, np.float32)
        fitted = put((mapping, counts), self.everywhere)
        if len(self.members) > 1:
            active = np.array(self.progress.stopped) < 0
            fitted = pick(active, fitted, (self.state.mapping, self.state.counts))
        self.state = self.state._replace(mapping=fitted[0], counts=fitted[1])

    def _refit(self) -> float:
        """Fits the mappings anew where it is time; returns the seconds that it took.

        That is at the beginning of an epoch, not at the end, so that prompts are evaluated and kept
        with the mapping that they were trained with. It follows from the state, so that a run that
        goes on from a checkpoint of an epoch's end does it too.
        """
        experiment, refit = self.experiment, self.experiment.head.head.refit
        if not self.step or self.step % experiment.steps_per_epoch or refit != "epoch":
            return 0.0
        jax.block_until_ready(self.state)
        start = time.monotonic()
        if experiment.counting is None:
            self._set_mappings(self._fit_mappings())
        else:
            counts = np.asarray(jax.device_get(self.state.counts))
            own = [self.members.unstack(counts, i) for i in range(len(self.members))]
            self._set_mappings([experiment.counting.fit(counts) for counts in own])
        return time.monotonic() - start

    def _train(self) -> None:
        experiment, settings, members = self.experiment, self.settings, self.members
        pace = Pace(experiment.steps_per_epoch, settings.log_every_steps)
        total_steps, splits = experiment.total_steps, self.split("train")
        train_step = members.train_step()
        penalties = tuple(experiment.penalties)
        advance = make_advance(
            train_step, self.feed, splits, pace, total_steps, self.mesh, penalties
        )
        needs_zero_shot = self.is_fresh and not self.settings.fits_head  # else it is known
        first_of_start, allowed = self.step, 1
        total, seen = self._images_seen(total_steps), self._images_seen(self.step)
        shown: dict[str, str] = {}
        what = "compiling the first steps"
        with progress_bar(total, what, initial=seen, unit_scale=True) as bar:
            while self.step < total_steps and not self.progress.done:
                clock = time.monotonic() + self._refit()
                begun, stop = self.step, self._next_stop(allowed)
                shared = members.shared(self.frozen, np.array(self.progress.stopped) < 0)
                self.state, log, out = advance(self.state, shared, begun, stop)
                failed, logged = np.ravel(self.state.failed_step), rows(log)  # waits for devices
                self.step = stop
                seconds = time.monotonic() - clock
                examples = self._images_seen(stop) - self._images_seen(begun)
                if begun == first_of_start:
                    bar.set_description("training", refresh=False)
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
                    shown.update(self._write(*row))
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
                        self._evaluate(last)
                        best = [p.best[self.metric] for p in self.progress.each if p.best]
                        shown[settings.select_on] = f"{np.mean(best):.1%}"
                    for metrics in self._metrics:
                        metrics.sync()  # Rows up to a checkpoint are not written again.
                    self.save()
                if stops:
                    self._leave(bar, signal)

    def _leave(self, bar: Any, signal: int) -> NoReturn:
        """Stops for a signal, of which this is the negative number; the state is being saved."""
        self.checkpoints.wait()
        bar.close()
        total = self.experiment.total_steps
        distributed.say(f"saved step {self.step} of {total} in {self.workdir}")
        raise Interrupted(INTERRUPTS.received or "a signal to another process", -signal)

    def _next_stop(self, allowed: int) -> int:
        """Where the next call ends: after `allowed` steps, or at what must be looked at before."""
        epoch = self.experiment.steps_per_epoch
        stops = [self.step + allowed, (self.step // epoch + 1) * epoch, self.experiment.total_steps]
        if every := self.settings.checkpoint_every_steps:
            stops.append((self.step // every + 1) * every)
        return min(stops)

    def _images_seen(self, step: int) -> int:
        epoch, position = divmod(step, self.experiment.steps_per_epoch)
        count, batch = len(self.experiment.task.train), self.settings.batch_size
        return len(self.members) * (epoch * count + position * batch)

    def _is_checkpoint_step(self) -> bool:
        every = self.settings.checkpoint_every_steps
        return every > 0 and self.step % every == 0

    def _write(self, step: int, means: list[dict[str, float]]) -> dict[str, str]:
        """Writes a row for every member that trains; the progress bar shows their means."""
        rates = jax.device_get(self._rates(np.int32(step - 1)))
        training = [i for i, stopped in enumerate(self.progress.stopped) if stopped < 0]
        for i in training:
            values = {
                "epoch": step / self.experiment.steps_per_epoch,
                **{f"train/{name}": value for name, value in means[i].items()},
                **learning_rates(rates[i]),
            }
            self._metrics[i].write(step, values)
        loss, accuracy = (
            np.mean([means[i][name] for i in training]) for name in ("loss", "accuracy")
        )
        return {"loss": f"{loss:.3f}", "accuracy": f"{accuracy:.1%}"}

    def _evaluate(self, last: bool) -> None:
        name, progress, members = self.settings.select_on, self.progress, self.members
        parts, splits = self.parts(self.state), self.split(name)
        if len(members) == 1:
            found = [self.evaluate(parts, splits[0])]
        else:
            found, _ = self._together(parts, splits, members.eval_argument)
        is_best = np.zeros(len(members), bool)
        for i, (evaluation, own) in enumerate(zip(found, progress.each, strict=True)):
            if progress.stopped[i] >= 0:
                continue
            result = self.measured(evaluation)
            values = {f"{name}/{key}": value for key, value in result.items()}
            self._metrics[i].write(self.step, values)
            own.record(self.step, result, self.metric)
            if own.best_step == self.step:
                is_best[i] = True
                self._write_mapping(i)
            if last or 0 < self.settings.patience <= own.stale:
                progress.stopped[i] = self.step
        if self.best is not None:
            step = jnp.broadcast_to(self.state.step, is_best.shape)
            self.best = pick(is_best, self.state._replace(step=step), self.best)
        progress.done = min(progress.stopped) >= 0

    def _write_mapping(self, number: int) -> None:
        experiment = self.members.experiments[number]
        write_mapping(
            experiment.head.head,
            self.members.unstack(jax.device_get(self.state.mapping), number),
            experiment.backbone.source_classes,
            experiment.task.class_names,
            self.folders[number],
        )

    def _check_gradient(self, out: step_lib.StepMetrics) -> None:
        prompt = "prompt" in self.experiment.tune
        if prompt and np.any(np.asarray(out["grad_norm/prompt"]) == 0):
            parts = "the prompt"
        elif np.any(np.asarray(out["grad_norm"]) == 0):
            parts = " and ".join(self.experiment.tuned)
        else:
            return
        raise UserError(
            f"the gradient with respect to {parts} is exactly zero at the first step, so nothing "
            "can be learned: the backbone or the head gives the same output for every image. Check "
            f"the weights of {self.experiment.backbone.name} ({self.experiment.advice.weights}): a "
            "head of zeros does this"
        )

    def _check_finite(self, failed: np.ndarray) -> None:
        """Takes note of members whose loss is not finite; refuses to go on when all are so.

        Args:
          failed: the step at which each failed, or -1.
        """
        for i in np.flatnonzero(failed >= 0):
            if self.progress.stopped[i] < 0:
                self.progress.stopped[i] = int(failed[i])
        self.progress.done = min(self.progress.stopped) >= 0
        if (failed >= 0).all():
            steps = self.checkpoints.steps()
            kept = f"checkpoints of the steps {steps} are kept" if steps else "nothing was saved"
            whose = " of every member" if len(failed) > 1 else ""
            raise UserError(
                f"the loss{whose} is not finite at step {failed.min()}; {kept} in {self.workdir}. "
                f"{self.experiment.advice.divergence}"
            )

    @property
    def has_failed(self) -> np.ndarray:
        """Which members' loss was not finite, bool `[N]`."""
        return np.ravel(jax.device_get(self.state.failed_step)) >= 0

    def test(
        self, splits: Sequence[data.Split], outcomes: Sequence[Outcome], logits: bool = False
    ) -> tuple[list[Evaluation], np.ndarray]:
        """The members' best parts, each on its split, and the mean probabilities, float32
        `[examples, K]`, of those that did not fail, where they share a split."""
        parts = self.parts(self.best) if self.best else {**self.frozen, **outcomes[0].best}
        argument = self.members.eval_argument
        each, mean = self._together(parts, splits, argument, ~self.has_failed, logits)
        assert mean is not None
        return each, mean

    def save_member(self, number: int, outcome: Outcome) -> None:
        """Saves checkpoints of one member as its own run has them: the best and the last."""
        experiment, progress = self.members.experiments[number], outcome.progress
        about = of_task(experiment.task)
        former = self.workdir if self.progress.data_changes else None
        keep(self.folders[number], about, experiment.task.contents, former)
        with Checkpoints(self.folders[number] / CHECKPOINTS) as checkpoints:
            for state in (outcome.best_state, outcome.last):
                step = int(state.step)
                meta = make_meta(experiment, experiment.identity, progress, step, about)
                checkpoints.save(step, state, meta, progress.best_step)
            checkpoints.wait()


def learning_rates(rates: dict[str, Any]) -> dict[str, float]:
    """Of the first part, whose curve has the shape of all; of each where they differ; nothing where
    they are not known."""
    rates = {part: float(rate) for part, rate in rates.items()}
    if not rates:
        return {}
    each = {f"learning_rate/{p}": rate for p, rate in rates.items()}
    first = next(iter(rates.values()))
    return {"learning_rate": first, **(each if len(set(rates.values())) > 1 else {})}
