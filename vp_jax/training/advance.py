"""Many train steps in one go: inside one program, or one after the other with batches sent."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vp_jax import data
from vp_jax.training import step as step_lib
from vp_jax.training.feed import HostFeed, ResidentFeed
from vp_jax.training.forward import Parts
from vp_jax.training.sharding import AS_PLACED, by_example, put, replicated
from vp_jax.training.step import Batch, State, StepMetrics, Sums, TrainStep

LOG_ROWS = 64
"""Rows of metrics that are kept on the devices before they are brought to the host."""

STEPS_IN_FLIGHT = 2
"""Steps that are sent to the devices before the first of them is done."""


class Log(NamedTuple):
    """Rows of metrics on the devices.

    Attributes:
      step: number of updates made when the row was written, int32 `[LOG_ROWS]`.
      sums: totals since the row before, each `[LOG_ROWS]`, or `[LOG_ROWS, N]` of N members.
      grad_norm: of the row's step, likewise.
      count: how many rows are written.
    """

    step: jax.Array
    sums: Sums
    grad_norm: jax.Array
    count: jax.Array


class Advance(Protocol):
    """Trains from `state.step` up to `stop`, within one epoch."""

    def __call__(
        self, state: State, frozen: Parts, start: int, stop: int
    ) -> tuple[State, Log, StepMetrics]:
        """Returns the new state, the rows logged on the way, and the last step's metrics."""
        ...


class Pace(NamedTuple):
    """The steps at which something happens.

    Attributes:
      steps_per_epoch: of the training split.
      log_every: steps between two rows of metrics; the last step of an epoch has one always.
    """

    steps_per_epoch: int
    log_every: int

    @property
    def most_steps(self) -> int:
        """Steps that surely write no more rows than a log can hold."""
        return (LOG_ROWS - 1) * self.log_every


def make_advance(
    train_step: TrainStep,
    feed: ResidentFeed | HostFeed,
    split: data.Split,
    pace: Pace,
    total_steps: int,
    mesh: Mesh,
) -> Advance:
    """The way of training that fits a feed; each compiles one program for all steps."""
    logged = _logged(train_step, pace)
    if isinstance(feed, ResidentFeed):
        return _in_one_program(logged, feed, split, pace, mesh)
    return _one_by_one(logged, feed, split, total_steps, mesh)


def _empty_log(sums: Sums) -> Log:
    rows = jnp.zeros((LOG_ROWS, *sums.loss.shape), jnp.float32)
    steps = jnp.zeros(LOG_ROWS, jnp.int32)
    return Log(steps, Sums(rows, rows, rows), rows, jnp.zeros((), jnp.int32))


LoggedStep = Callable[[State, Log, Parts, Batch], tuple[State, Log, StepMetrics]]


def _logged(train_step: TrainStep, pace: Pace) -> LoggedStep:
    """A train step that writes a row where one is due, and then begins new totals."""

    def train_step_logged(
        state: State, log: Log, frozen: Parts, batch: Batch
    ) -> tuple[State, Log, StepMetrics]:
        state, out = train_step(state, frozen, batch)
        is_due = state.step % pace.steps_per_epoch % pace.log_every == 0
        row = Log(state.step, state.sums, out["grad_norm"], log.count)
        place = jnp.where(is_due, log.count, LOG_ROWS)  # Beyond the end nothing is written.
        written = jax.tree.map(
            lambda rows, value: rows.at[place].set(value, mode="drop"),
            log._replace(count=()),
            row._replace(count=()),
        )
        log = written._replace(count=log.count + is_due)
        sums = jax.tree.map(lambda x: jnp.where(is_due, 0.0, x), state.sums)
        return state._replace(sums=sums), log, out

    return train_step_logged


def _in_one_program(
    logged: LoggedStep, feed: ResidentFeed, split: data.Split, pace: Pace, mesh: Mesh
) -> Advance:
    everywhere = replicated(mesh)
    make_epoch = feed.make_epochs(split)

    def train_steps(
        state: State, frozen: Parts, store: jax.Array, epoch: Batch, stop: jax.Array
    ) -> tuple[State, Log, StepMetrics]:
        def step(state: State, log: Log) -> tuple[State, Log, StepMetrics]:
            position = state.step % pace.steps_per_epoch
            batch = jax.tree.map(lambda x: x[position], epoch)
            batch = jax.lax.with_sharding_constraint(batch, by_example(mesh))
            return logged(state, log, frozen, feed.fetch(store, batch))

        return jax.lax.while_loop(
            lambda carry: carry[0].step < stop,
            lambda carry: step(carry[0], carry[1]),
            (state, _empty_log(state.sums), step_lib.zero_metrics(state)),
        )

    program = jax.jit(
        train_steps,
        in_shardings=(everywhere, AS_PLACED, by_example(mesh), everywhere, everywhere),
        out_shardings=everywhere,
        donate_argnums=0,
    )
    current: tuple[int, Any] = (-1, None)

    def advance(
        state: State, frozen: Parts, start: int, stop: int
    ) -> tuple[State, Log, StepMetrics]:
        nonlocal current
        number = start // pace.steps_per_epoch
        if current[0] != number:
            current = (number, make_epoch(number))
        return program(state, frozen, feed.store, current[1], np.int32(stop))

    return advance


def _one_by_one(
    logged: LoggedStep, feed: HostFeed, split: data.Split, total_steps: int, mesh: Mesh
) -> Advance:
    everywhere = replicated(mesh)
    program = jax.jit(
        logged,
        in_shardings=(everywhere, everywhere, AS_PLACED, by_example(mesh)),
        out_shardings=everywhere,
        donate_argnums=(0, 1),
    )
    batches: Iterator[Batch] | None = None

    def advance(
        state: State, frozen: Parts, start: int, stop: int
    ) -> tuple[State, Log, StepMetrics]:
        nonlocal batches
        if batches is None:
            batches = feed.train_batches(split, start, total_steps)
        log = put(_empty_log(state.sums), everywhere)
        in_flight: collections.deque[jax.Array] = collections.deque()
        for _ in range(start, stop):
            state, log, out = program(state, log, frozen, next(batches))
            in_flight.append(out["loss"])
            if len(in_flight) > STEPS_IN_FLIGHT:
                in_flight.popleft().block_until_ready()
        return state, log, out

    return advance


def rows(log: Log) -> list[tuple[int, dict[str, float], float]]:
    """The rows of a log on the host: step, mean loss and accuracy, gradient norm."""
    log = jax.device_get(log)
    return [
        (
            int(log.step[i]),
            step_lib.means(jax.tree.map(lambda x, i=i: x[i], log.sums)),
            float(log.grad_norm[i]),
        )
        for i in range(int(log.count))
    ]
