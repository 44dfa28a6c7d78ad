"""Many prompts trained at once against as many runs, one after the other.

    python experiments/benchmarks/many.py
    python experiments/benchmarks/many.py --model=clip_tiny --epochs=1

Members of different seeds and learning rates on the digits. *steps* are the compiled train steps
alone, all members against one run after the other, in turns; the program of a single run is
compiled once there. *everything* is from the settings to the results: loading, compilation,
training, evaluations, checkpoints and pictures. Programs are not kept on disk. *images/s* are
training images of all members together, *TFLOP/s* and *of peak* those of their steps.

The model `small` has two layers of random weights: its steps are so short that most of their time
is what every step costs whatever it computes. `clip_tiny` is the quickstart's.

Takes about two minutes on two cores.
"""

from __future__ import annotations

import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import counted
import jax
import jax.numpy as jnp
import measure
import numpy as np
from absl import app, flags, logging
from ml_collections import ConfigDict

from vp_jax import backbones, many, runs
from vp_jax import config as config_lib
from vp_jax.assembly.settings import settled
from vp_jax.assembly.setup import setup_all
from vp_jax.assembly.several.members import member_configs
from vp_jax.backbones.flops import image_flops
from vp_jax.host.memory import keep_freed_memory
from vp_jax.report import table
from vp_jax.step.sharding import put, replicated
from vp_jax.step.step import State
from vp_jax.training.advance import Advance, Pace, make_advance
from vp_jax.training.experiment import Experiment
from vp_jax.training.members import Members
from vp_jax.training.start import feed_of, fresh_state

ONE, MANY = "one by one", "at once"
STEPS = 18  # of the digits' first epoch, which has 73


def small() -> backbones.Backbone:
    """Two layers of random weights on images of 8 x 8."""

    def apply(params: Any, images: jax.Array) -> jax.Array:
        hidden = jnp.tanh(images.reshape(len(images), -1) @ params["first"])
        return hidden @ params["second"]

    one, two = jax.random.split(jax.random.key(0))
    params = {
        "first": jax.random.normal(one, (8 * 8 * 3, 32)) / 8,
        "second": jax.random.normal(two, (32, 10)),
    }
    half = (0.5, 0.5, 0.5)
    return backbones.from_fn(apply, params, image_size=8, mean=half, std=half, name="small")


def settings(model: str, epochs: int) -> ConfigDict:
    """What all members share."""
    config = config_lib.default()
    config.task.name, config.batch_size, config.epochs = "digits", 16, epochs
    config.schedule.warmup_steps = 73
    if model == "small":
        config.head.name, config.prompt = "first_k", "normalize | pad(2)"
    else:
        config.backbone.name, config.prompt = model, "normalize | pad(4)"
        config.head.templates = ("{}",)
    return config


def single_steps(experiments: list[Experiment]) -> Callable[[], Any]:
    """Makes `STEPS` steps of every run, by one program, one run after the other."""
    first = experiments[0]
    advance, frozen = make_steps(experiments[:1])
    states = [put(fresh_state(e), replicated(first.mesh)) for e in experiments]

    def run() -> Any:
        for i, state in enumerate(states):
            states[i], *_ = advance(from_start(state, first), frozen, 0, STEPS)
        return states

    return run


def steps_at_once(experiments: list[Experiment]) -> Callable[[], Any]:
    """Makes `STEPS` steps of all runs at once."""
    first = experiments[0]
    advance, shared = make_steps(experiments)
    state = put(Members(experiments).fresh(), replicated(first.mesh))

    def run() -> Any:
        nonlocal state
        state, *_ = advance(from_start(state, first), shared, 0, STEPS)
        return state

    return run


def make_steps(experiments: list[Experiment]) -> tuple[Advance, Any]:
    """What trains runs at once, and what it takes beside their state."""
    members, first = Members(experiments), experiments[0]
    feed = feed_of(first, first.mesh, others=experiments[1:])
    pace = Pace(first.steps_per_epoch, first.loop.log_every_steps)
    splits = [e.task.train for e in experiments]
    step, total_steps = members.train_step(), first.total_steps
    advance = make_advance(step, feed, splits, pace, total_steps, first.mesh)
    frozen = put(first.frozen, replicated(first.mesh))
    return advance, members.shared(frozen, np.ones(len(members), bool))


def from_start(state: State, experiment: Experiment) -> State:
    """A state that makes the first steps again, from where its parameters are."""
    return state._replace(step=put(np.int32(0), replicated(experiment.mesh)))


def main(argv: list[str]) -> None:
    """Prints both comparisons."""
    del argv
    keep_freed_memory()
    logging.set_verbosity(logging.WARNING)
    values = flags.FLAGS
    backbone = small() if values.model == "small" else None
    config = settled(settings(values.model, values.epochs), backbone)
    rates = [2.5, 5.0, 10.0, 20.0]
    members = many.grid({"optimizer.learning_rate": rates, "seed": range(values.members)})
    members = members[: values.members]
    configs = member_configs(config, members, backbone)
    measure.warn_if_busy()
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        experiments = setup_all(configs, folder, backbone)
        peak = measure.Peak()
        actions = {ONE: single_steps(experiments), MANY: steps_at_once(experiments)}
        for action in actions.values():  # compiles
            jax.block_until_ready(action())
        steps = measure.in_turns({**actions, "peak": peak.measure}, values.rounds)
        begun = time.perf_counter()
        many.train_many(config, members, folder / "many", backbone)
        together = time.perf_counter() - begun
        begun = time.perf_counter()
        for number, own in enumerate(configs):
            runs.train(own, folder / str(number), backbone)
        everything = {ONE: [time.perf_counter() - begun], MANY: [together]}

    flops = counted.image_flops(values.model, 10) if backbone is None else image_flops(backbone)
    images = len(members) * config.batch_size * STEPS
    of_run = len(members) * values.epochs * len(experiments[0].task.train.labels)
    rows = [
        *rows_of("steps", steps, images, flops.step, peak),
        *rows_of("everything", everything, of_run, flops.step, peak),
    ]
    print(f"{len(members)} members, {values.model}, batch {config.batch_size}; {measure.machine()}")
    print(f"{peak}\n\n{table(rows, ('', '', 'seconds', *measure.SPEED, 'times faster (range)'))}")


def rows_of(
    what: str, times: dict[str, list[float]], images: int, flops: int, peak: measure.Peak
) -> list[tuple[str | None, ...]]:
    """Of the table: one by one, and at once."""
    rows = []
    for name in (ONE, MANY):
        middle = statistics.median(times[name])
        speed = measure.speed(images / middle, flops, peak.of("float32"))
        ratio = None if name == ONE else measure.ratio(times[ONE], times[name])
        rows.append((what, name, f"{middle:.4g}", *speed, ratio))
    return rows


if __name__ == "__main__":
    flags.DEFINE_string("model", "small", "small, or the name of a CLIP")
    flags.DEFINE_integer("members", 8, "prompts")
    flags.DEFINE_integer("epochs", 5, "of the whole runs")
    flags.DEFINE_integer("rounds", 7, "in which both take turns")
    app.run(main)
