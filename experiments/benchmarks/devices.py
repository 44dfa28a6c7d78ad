"""Whether devices change the result, and what the sharded program costs where there is only one.

    python experiments/benchmarks/devices.py
    python experiments/benchmarks/devices.py --model=clip_tiny --batch=8 --rounds=2 --epochs=1

Two tables:

  results: whole runs of the quickstart on 1, 2, 4 and 8 devices that XLA makes of this CPU, each in
    a process of its own, with the backbone on every device and once, as `fsdp`, shared by all.
    *prompt* is the largest difference of its numbers from those on one device, *accuracy* that on
    the test images.
  overhead: seconds of a step on one device, in turns: *plain* is `jax.jit` of the train step on
    arrays as they are; *sharded* the same step with the mesh and the shardings of the train loop.
    *overhead* is the median over the rounds.

Takes three minutes on two idle cores; a busy machine spoils the overhead.
"""

from __future__ import annotations

import pathlib
import statistics
import tempfile
from collections.abc import Callable
from typing import Any

import counted
import jax
import measure
import numpy as np
import problem as problem_lib
from absl import app, flags, logging

from vp_jax import cli, runs
from vp_jax.host.memory import keep_freed_memory
from vp_jax.records.finished import load_part
from vp_jax.report import table
from vp_jax.step.batch import Batch
from vp_jax.step.sharding import AS_PLACED, by_example, make_mesh, put, replicated

QUICKSTART = pathlib.Path(__file__).parents[2] / "configs" / "quickstart.py"
CLASSES = 100


def train(sharding: str, epochs: int) -> dict[str, Any]:
    """The prompt and the accuracy of a run on all devices of this process."""
    config = cli.load_config(str(QUICKSTART))
    with config.unlocked():
        config.backbone.sharding, config.epochs, config.batch_size = sharding, epochs, 64
    with tempfile.TemporaryDirectory() as scratch:
        result = runs.train(config, pathlib.Path(scratch) / "run")
        arrays, _ = load_part(pathlib.Path(scratch) / "run", "prompt")
    prompt = np.concatenate([np.ravel(array) for _, array in sorted(arrays.items())])
    return {"prompt": prompt.tolist(), "accuracy": result["test_accuracy"]}


def results(counts: list[int], epochs: int) -> str:
    """The table of results."""
    rows, first = [], None
    for devices, sharding in (*((n, "replicated") for n in counts), (counts[-1], "fsdp")):
        found = measure.in_process_of_its_own(
            (__file__, f"--train={sharding}", f"--epochs={epochs}"),
            JAX_PLATFORMS="cpu",
            XLA_FLAGS=f"--xla_force_host_platform_device_count={devices}",
        )
        first = first or found
        difference = np.abs(np.subtract(found["prompt"], first["prompt"])).max()
        rows.append((devices, sharding, f"{difference:.1e}", f"{100 * found['accuracy']:.1f} %"))
    return table(rows, ("devices", "backbone", "prompt", "accuracy"))


def steps(model: str, batch_size: int) -> dict[str, Callable[[], object]]:
    """The same step, plain and sharded, both compiled."""
    problem = problem_lib.make_problem(model, batch_size, CLASSES)
    training, mesh = problem_lib.make_training(problem), make_mesh()
    everywhere, examples = replicated(mesh), by_example(mesh)
    batch = Batch(problem.images, problem.labels, np.ones(batch_size, bool))
    sharded = jax.jit(
        training.step,
        in_shardings=(everywhere, AS_PLACED, examples),
        out_shardings=everywhere,
        donate_argnums=0,
    )
    plain_arrays = jax.device_put((training.state(), training.frozen, batch))
    placed = (*put((training.state(), training.frozen), everywhere), put(batch, examples))
    made = {
        "plain": _repeat(jax.jit(training.step, donate_argnums=0), *plain_arrays),
        "sharded": _repeat(sharded, *placed),
    }
    for step in made.values():
        step()
    return made


def _repeat(step: Callable[..., Any], state: Any, frozen: Any, batch: Any) -> Callable[[], object]:
    def once() -> object:
        nonlocal state
        state, metrics = step(state, frozen, batch)
        return metrics

    return once


def overhead(model: str, batch_size: int, rounds: int) -> str:
    """The peak, and the table of overhead."""
    peak, flops = measure.Peak(), counted.image_flops(model, CLASSES).step
    made = steps(model, batch_size)
    times = measure.in_turns({**made, "peak": peak.measure}, rounds)
    rows = []
    for name in made:
        each = [taken / plain for taken, plain in zip(times[name], times["plain"], strict=True)]
        more, middle = 100 * (statistics.median(each) - 1), statistics.median(times[name])
        speed = measure.speed(batch_size / middle, flops, peak.of("float32"))
        rows.append((name, *speed, f"{middle:.4f}", f"{more:+.1f} %"))
    return f"{peak}\n\n{table(rows, ('program', *measure.SPEED, 's/step', 'overhead'))}"


def main(argv: list[str]) -> None:
    """Prints both tables."""
    del argv
    keep_freed_memory()
    logging.set_verbosity(logging.WARNING)
    values = flags.FLAGS
    if values.train:
        measure.hand_back(train(values.train, values.epochs))
        return
    print(f"quickstart, {values.epochs} epochs of batch 64; {measure.machine()}\n")
    print(results([int(n) for n in values.devices], values.epochs), flush=True)
    measure.warn_if_busy()
    print(f"\n{values.model}, batch {values.batch}, {jax.device_count()} device\n")
    print(overhead(values.model, values.batch, values.rounds))


if __name__ == "__main__":
    flags.DEFINE_list("devices", ["1", "2", "4", "8"], "of the runs; the first is compared with")
    flags.DEFINE_string("model", "clip_vit_b32", "whose steps are timed")
    flags.DEFINE_integer("batch", 32, "images a step", lower_bound=1)
    flags.DEFINE_integer("rounds", 9, "of each program, in turns", lower_bound=1)
    flags.DEFINE_integer("epochs", 2, "of the runs", lower_bound=1)
    flags.DEFINE_string("train", None, "used by the script itself")
    app.run(main)
