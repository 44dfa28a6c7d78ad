"""How fast each pipeline brings images to the model, alone and inside training.

    python experiments/benchmarks/pipelines.py
    python experiments/benchmarks/pipelines.py --model=clip_tiny --count=256 --steps=2 --rounds=2

Two folders are made: pictures of 32 x 32 as PNG and photographs of 500 x 375 as JPEG. For each of
them and each of `resident`, `cached` and `stream`:

  alone: images/s of a pass over all of them, up to pixels on the device, with nothing else to do.
  images/s: of train steps with batches of the pipeline, the TFLOP/s of the operations
    counted in them, and their share of the machine's matrix product peak.
  waiting: by how much these steps are slower than steps with one batch that is on the device from
    the beginning; all pipelines and the fixed batch take turns, round after round, each reads
    ahead in its own turn only, and the fastest rounds are compared. It holds all that data cost a
    step: the first batch of a turn, and the cores that decoding takes from the step. Noise makes
    it negative at times.
  host: the share of the time in which the train loop stood and waited for a batch.

The model has random weights. Takes 12 minutes on two cores with the defaults; a busy machine
spoils it. Compare numbers of one run only.
"""

from __future__ import annotations

import functools
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import counted
import jax
import measure
import numpy as np
import problem as problem_lib
from absl import app, flags, logging
from photographs import CLASSES, make
from PIL import Image

from vp_jax import data
from vp_jax.data.images.preprocess import ResizeRule
from vp_jax.host.memory import keep_freed_memory
from vp_jax.report import table
from vp_jax.step.batch import Batch
from vp_jax.step.forward import Parts
from vp_jax.step.sharding import by_example, make_mesh, put, replicated
from vp_jax.step.step import State
from vp_jax.training.advance import Advance, Pace, make_advance
from vp_jax.training.feed import HostFeed, ResidentFeed, make_feed

FIXED = "fixed batch"
ENDLESS = 10**6  # steps


class Variant(NamedTuple):
    """One way to train.

    Attributes:
      train: from the state, and the first step and the one after the last, to the state after them.
      state: as it is now.
      feed: where its batches are from; None for the fixed batch.
      splits: of its task.
    """

    train: Callable[[State, int, int], State]
    state: State
    feed: ResidentFeed | HostFeed | None = None
    splits: tuple[data.Split, ...] = ()


def small_pictures(out: pathlib.Path, count: int) -> None:
    """Writes PNG files of 32 x 32 noise, one folder a class."""
    rng = np.random.default_rng(0)
    for number in range(count):
        folder = out / f"class_{number % CLASSES}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:06}.png")


def alone(feed: ResidentFeed | HostFeed, splits: tuple[data.Split, ...]) -> float:
    """Images/s of a pass over some splits."""
    fetch = jax.jit(feed.fetch)
    for batch in feed.eval_batches(splits[0].take(np.arange(1))):
        jax.block_until_ready(fetch(feed.store, batch))  # compiles

    def run() -> None:
        for split in splits:
            for batch in feed.eval_batches(split):
                jax.block_until_ready(fetch(feed.store, batch).image)

    return sum(map(len, splits)) / measure.seconds(run)


def ready_batch(split: data.Split, count: int) -> Batch:
    """The first examples of a split, in the size in which the resident images are."""
    return Batch(split.images[np.arange(count)], split.labels[:count], np.ones(count, bool))


def one_by_one(
    program: Callable[[State, Parts, Batch], tuple[State, Any]],
    frozen: Parts,
    batches: Callable[[int, int], Iterable[Batch]],
) -> Callable[[State, int, int], State]:
    """Training with batches from the host, read ahead anew at every call; two steps in flight."""

    def train(state: State, start: int, stop: int) -> State:
        before = None
        for batch in batches(start, stop):
            state, out = program(state, frozen, batch)
            if before is not None:
                before.block_until_ready()
            before = out["loss"]
        return state

    return train


def step_by_step(advance: Advance, frozen: Parts) -> Callable[[State, int, int], State]:
    """Training on resident images, a call a step as the train loop does where steps are long."""

    def train(state: State, start: int, stop: int) -> State:
        for step in range(start, stop):
            state, _, out = advance(state, frozen, step, step + 1)
            out["loss"].block_until_ready()
        return state

    return train


def variants(
    folder: pathlib.Path, cache: pathlib.Path, problem: problem_lib.Problem
) -> Iterator[tuple[str, Variant]]:
    """All ways of training on a folder, by name."""
    backbone, batch = problem.backbone, problem.batch
    rule = ResizeRule(backbone.image_size, backbone.resize_size, backbone.resize_method)
    training = problem_lib.make_training(problem)
    mesh = make_mesh()
    everywhere = replicated(mesh)
    frozen = put(training.frozen, everywhere)

    def state() -> State:
        return put(training.state(), everywhere)

    program = jax.jit(training.step, out_shardings=everywhere, donate_argnums=0)
    for pipeline in data.PIPELINES:
        task = data.load_task(
            "folder", resize=rule, data_dir=folder, pipeline=pipeline, cache_dir=cache
        )
        feed = make_feed(task, batch, 0, mesh)
        if isinstance(feed, ResidentFeed):
            fixed = put(ready_batch(task.train, batch), by_example(mesh))
            pace = Pace(data.steps_per_epoch(len(task.train), batch), ENDLESS)
            advance = make_advance(training.step, feed, [task.train], pace, ENDLESS, mesh)
            train = step_by_step(advance, frozen)
        else:
            batches = functools.partial(feed.train_batches, task.train)
            train = one_by_one(program, frozen, batches)
        yield pipeline, Variant(train, state(), feed, task.splits)
    train = one_by_one(program, frozen, lambda start, stop: [fixed] * (stop - start))
    yield FIXED, Variant(train, state())


def rows_of(
    folder: pathlib.Path,
    cache: pathlib.Path,
    problem: problem_lib.Problem,
    peak: measure.Peak,
    steps: int,
    rounds: int,
) -> list[tuple[object, ...]]:
    """The rows of one folder: pipeline, alone, training, waiting, host."""
    every: dict[str, Variant] = {}
    seconds: dict[str, list[float]] = {}
    rate: dict[str, float] = {}
    flops = counted.image_flops(problem.backbone.name, problem.classes).step
    for name, variant in variants(folder, cache, problem):
        if variant.feed is not None:
            rate[name] = alone(variant.feed, variant.splits)
        every[name], seconds[name] = variant, []
    for number in range(rounds + 1):  # the first compiles
        for name, variant in every.items():
            start = time.monotonic()
            state = variant.train(variant.state, number * steps, (number + 1) * steps)
            jax.block_until_ready(state)
            every[name] = variant._replace(state=state)
            if number:
                seconds[name].append(time.monotonic() - start)
            elif isinstance(variant.feed, HostFeed):
                variant.feed.waited = 0.0
        peak.measure()
    fixed = min(seconds[FIXED])
    rows = []
    for name, variant in every.items():
        taken = min(seconds[name])
        host = passes = waiting = None
        if variant.feed is not None:
            waited = getattr(variant.feed, "waited", 0.0)
            host = f"{100 * waited / sum(seconds[name]):.2f} %"
            passes, waiting = f"{rate[name]:,.0f}", f"{100 * (1 - fixed / taken):+.1f} %"
        speed = measure.speed(steps * problem.batch / taken, flops, peak.of("float32"))
        rows.append((name, passes, *speed, waiting, host))
    return rows


def main(argv: list[str]) -> None:
    """Makes the folders, measures, prints the tables."""
    del argv
    keep_freed_memory()
    logging.set_verbosity(logging.WARNING)
    values = flags.FLAGS
    problem = problem_lib.make_problem(values.model, values.batch, CLASSES)
    peak = measure.Peak()
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        small_pictures(root / "small", values.count)
        make(root / "large", values.count)
        for name, what in (("small", "32 x 32, PNG"), ("large", "500 x 375, JPEG")):
            turns = (values.steps, values.rounds)
            rows = rows_of(root / name, root / "cache", problem, peak, *turns)
            print(
                f"\n{what}, {values.model}, batch {values.batch}, {values.count:,} images; {peak}"
            )
            headers = ("pipeline", "alone, images/s", *measure.SPEED, "waiting", "host")
            print(table(rows, headers), flush=True)


if __name__ == "__main__":
    flags.DEFINE_string("model", "clip_vit_b32", "a CLIP with a vision transformer")
    flags.DEFINE_integer("count", 1024, "images of each folder", lower_bound=20)
    flags.DEFINE_integer("batch", 32, "images a step", lower_bound=1)
    flags.DEFINE_integer("steps", 4, "train steps a round", lower_bound=1)
    flags.DEFINE_integer("rounds", 5, "rounds that are timed", lower_bound=1)
    app.run(main)
