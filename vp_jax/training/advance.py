"""Many train steps in one go: inside one program, or one call after the other."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vp_jax import data
from vp_jax.jaxprs import primitives
from vp_jax.step import step as step_lib
from vp_jax.step.batch import Batch
from vp_jax.step.forward import Parts
from vp_jax.step.sharding import AS_PLACED, by_example, put, replicated
from vp_jax.step.step import State, StepMetrics, Sums, TrainStep
from vp_jax.training.feed import Feed, HostFeed, ResidentFeed

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
      penalties: of the row's step, by name, likewise.
      written: how many rows.
    """

    step: jax.Array
    sums: Sums
    grad_norm: jax.Array
    penalties: dict[str, jax.Array]
    written: jax.Array


Advance = Callable[[State, Any, int, int], tuple[State, Log, StepMetrics]]
"""Trains a state, with what the step takes beside it, from one step up to another, which are within
one epoch; returns the new state, the rows logged on the way, and the last step's metrics."""


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
    feed: Feed,
    splits: Sequence[data.Split],
    pace: Pace,
    total_steps: int,
    mesh: Mesh,
    penalties: Sequence[str] = (),
) -> Advance:
    """The way of training that fits a feed and a step; each compiles one program for all steps.

    There is a split for each member that the step trains; `penalties` are the names of those that
    it has.
    """
    logged = _logged(train_step, pace)
    if isinstance(feed, ResidentFeed):
        return _from_devices(logged, feed, splits, pace, mesh, penalties)
    return _from_host(logged, feed, splits[0], total_steps, mesh, penalties)


def _empty_log(sums: Sums, penalties: Sequence[str]) -> Log:
    rows = jnp.zeros((LOG_ROWS, *sums.loss.shape), jnp.float32)
    steps = jnp.zeros(LOG_ROWS, jnp.int32)
    each = dict.fromkeys(penalties, rows)
    return Log(steps, Sums(rows, rows, rows), rows, each, jnp.zeros((), jnp.int32))


LoggedStep = Callable[[State, Log, Parts, Batch], tuple[State, Log, StepMetrics]]


def _logged(train_step: TrainStep, pace: Pace) -> LoggedStep:
    """A train step that writes a row where one is due, and then begins new totals."""

    def train_step_logged(
        state: State, log: Log, frozen: Parts, batch: Batch
    ) -> tuple[State, Log, StepMetrics]:
        state, out = train_step(state, frozen, batch)
        is_due = state.step % pace.steps_per_epoch % pace.log_every == 0
        place = jnp.where(is_due, log.written, LOG_ROWS)  # Beyond the end nothing is written.
        penalties = {name: out[f"penalty/{name}"] for name in log.penalties}
        written = jax.tree.map(
            lambda rows, value: rows.at[place].set(value, mode="drop"),
            (log.step, log.sums, log.grad_norm, log.penalties),
            (state.step, state.sums, out["grad_norm"], penalties),
        )
        step, sums, grad_norm, penalties = written
        log = Log(step, sums, grad_norm, penalties, log.written + is_due)
        begun = jax.tree.map(lambda x: jnp.where(is_due, 0.0, x), state.sums)
        return state._replace(sums=begun), log, out

    return train_step_logged


def _from_devices(
    logged: LoggedStep,
    feed: ResidentFeed,
    splits: Sequence[data.Split],
    pace: Pace,
    mesh: Mesh,
    penalties: Sequence[str],
) -> Advance:
    make_epoch = feed.make_epochs(*splits)

    def train_step(
        state: State, log: Log, frozen: Parts, store: Any, epoch: Batch
    ) -> tuple[State, Log, StepMetrics]:
        position = state.step % pace.steps_per_epoch
        batch = jax.tree.map(lambda x: x[position], epoch)
        batch = jax.lax.with_sharding_constraint(batch, by_example(mesh))
        return logged(state, log, frozen, feed.fetch(store, batch))

    step = jax.jit(train_step)  # What looks at it and what calls it share one trace.
    shardings = by_example(mesh), replicated(mesh)
    in_one_program = _in_one_program(step, shardings, mesh, penalties)
    one_by_one = _one_by_one(step, shardings, mesh, penalties)
    current: tuple[int, Any] = (-1, None)
    suits_a_loop: bool | None = None

    def advance(
        state: State, frozen: Parts, start: int, stop: int
    ) -> tuple[State, Log, StepMetrics]:
        nonlocal current, suits_a_loop
        number = start // pace.steps_per_epoch
        if current[0] != number:
            current = (number, make_epoch(number))
        inputs = feed.store, current[1]
        if suits_a_loop is None:
            log = _empty_log(state.sums, penalties)
            suits_a_loop = _suits_a_loop(step, state, log, frozen, inputs, mesh)
        if suits_a_loop:
            return in_one_program(state, frozen, inputs, stop)
        return one_by_one(state, frozen, itertools.repeat(inputs, stop - start))

    return advance


def _suits_a_loop(
    step: Callable[..., Any],
    state: State,
    log: Log,
    frozen: Parts,
    inputs: tuple[Any, ...],
    mesh: Mesh,
) -> bool:
    """Whether a step is as fast inside a loop as by itself.

    XLA's CPU backend computes convolutions in the body of a loop by one thread and without its fast
    kernels, about ten times slower. The answer follows from devices and step alone, not from a
    clock: the two programs may round differently, and a run that goes on must take the same one.
    """
    if mesh.devices.flat[0].platform != "cpu":
        return True
    traced = jax.make_jaxpr(step)(state, log, frozen, *inputs)
    return "conv_general_dilated" not in primitives(traced.jaxpr)


def _in_one_program(
    step: Callable[..., Any], shardings: tuple[Any, ...], mesh: Mesh, penalties: Sequence[str]
) -> Callable[..., tuple[State, Log, StepMetrics]]:
    """Makes steps from `state.step` up to `stop` by a loop on the devices.

    Args:
      step: `(state, log, frozen, *inputs)`.
      shardings: of its inputs.
      mesh: the devices.
      penalties: names of those that the step has.
    """
    everywhere = replicated(mesh)

    def train_steps(
        state: State, frozen: Parts, inputs: tuple[Any, ...], stop: jax.Array
    ) -> tuple[State, Log, StepMetrics]:
        return jax.lax.while_loop(
            lambda carry: carry[0].step < stop,
            lambda carry: step(carry[0], carry[1], frozen, *inputs),
            (
                state,
                _empty_log(state.sums, penalties),
                step_lib.zero_metrics(state, penalties),
            ),
        )

    program = jax.jit(
        train_steps,
        in_shardings=(everywhere, AS_PLACED, shardings, everywhere),
        out_shardings=everywhere,
        donate_argnums=0,
    )
    return lambda state, frozen, inputs, stop: program(state, frozen, inputs, np.int32(stop))


def _one_by_one(
    step: Callable[..., Any], shardings: tuple[Any, ...], mesh: Mesh, penalties: Sequence[str]
) -> Callable[..., tuple[State, Log, StepMetrics]]:
    """Makes a step for each of some inputs; the host runs ahead of the devices by a few.

    The arguments are those of `_in_one_program`.
    """
    everywhere = replicated(mesh)
    program = jax.jit(
        step,
        in_shardings=(everywhere, everywhere, AS_PLACED, *shardings),
        out_shardings=everywhere,
        donate_argnums=(0, 1),
    )

    def train(
        state: State, frozen: Parts, every: Iterable[tuple[Any, ...]]
    ) -> tuple[State, Log, StepMetrics]:
        log = put(_empty_log(state.sums, penalties), everywhere)
        in_flight: collections.deque[jax.Array] = collections.deque()
        for inputs in every:
            state, log, out = program(state, log, frozen, *inputs)
            in_flight.append(out["loss"])
            if len(in_flight) > STEPS_IN_FLIGHT:
                in_flight.popleft().block_until_ready()
        return state, log, out

    return train


def _from_host(
    logged: LoggedStep,
    feed: HostFeed,
    split: data.Split,
    total_steps: int,
    mesh: Mesh,
    penalties: Sequence[str],
) -> Advance:
    one_by_one = _one_by_one(logged, (by_example(mesh),), mesh, penalties)
    batches: Iterator[Batch] | None = None

    def advance(
        state: State, frozen: Parts, start: int, stop: int
    ) -> tuple[State, Log, StepMetrics]:
        nonlocal batches
        if batches is None:
            batches = feed.train_batches(split, start, total_steps)
        return one_by_one(state, frozen, ((next(batches),) for _ in range(start, stop)))

    return advance


def rows(log: Log) -> list[tuple[int, list[dict[str, float]]]]:
    """The rows of a log on the host: the step, and of each member `loss`, `accuracy`, `grad_norm`
    and `penalty/NAME`."""
    steps, sums, norms, penalties, count = jax.device_get(log)
    more = {"grad_norm": norms, **{f"penalty/{name}": x for name, x in penalties.items()}}
    found = []
    for i in range(int(count)):
        each = [step_lib.means(Sums(*own)) for own in np.reshape([x[i] for x in sums], (3, -1)).T]
        for name, values in more.items():
            for own, value in zip(each, np.ravel(values[i]), strict=True):
                own[name] = float(value)
        found.append((int(steps[i]), each))
    return found
