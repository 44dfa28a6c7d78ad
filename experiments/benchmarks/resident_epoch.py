"""How much of an epoch over resident images is spent outside the jitted computation.

    python experiments/benchmarks/resident_epoch.py
    python experiments/benchmarks/resident_epoch.py --images=2000 --batch=64

A whole training of one epoch is run by the train loop itself, over random images of 32 x 32 that
are all on the device. *Inside* is the time in calls of the jitted programs until their results are
there; *outside* is everything else between the end of the first call, which compiles, and the end
of the last one: rows of metrics, the progress bar, the choice of the next call. The evaluation at
the end of the epoch is not part of it. *of peak* is of the machine's matrix product peak, measured
before and after.

Takes a minute and a half on two cores.
"""

from __future__ import annotations

import pathlib
import tempfile
import time
from typing import Any

import counted
import jax
import measure
from absl import app, flags, logging
from synthetic import make_npz

from vp_jax import config as config_lib
from vp_jax import runs
from vp_jax.host.memory import keep_freed_memory
from vp_jax.report import table
from vp_jax.training import loop
from vp_jax.training.advance import Advance

CLASSES = 10
MODEL = "clip_tiny"


def settings(path: pathlib.Path, batch: int) -> Any:
    """One epoch of the quickstart's model over the file."""
    config = config_lib.default()
    config.backbone.name, config.prompt = MODEL, "normalize | pad(4)"
    config.task.name, config.task.data_dir = "npz", str(path)
    config.task.pipeline, config.epochs, config.batch_size = "resident", 1, batch
    return config


def timed_calls(make: Any) -> tuple[Any, list[tuple[float, float]]]:
    """`make_advance` whose calls are timed: begin and end of each, when its arrays are there."""
    calls = []

    def make_advance(*arguments: Any) -> Advance:
        advance = make(*arguments)

        def timed(*arguments: Any) -> Any:
            begin = time.monotonic()
            result = jax.block_until_ready(advance(*arguments))
            calls.append((begin, time.monotonic()))
            return result

        return timed

    return make_advance, calls


def main(argv: list[str]) -> None:
    """Trains for an epoch and prints where its time went."""
    del argv
    keep_freed_memory()
    logging.set_verbosity(logging.WARNING)
    values = flags.FLAGS
    peak = measure.Peak()
    loop.make_advance, calls = timed_calls(loop.make_advance)
    with tempfile.TemporaryDirectory() as scratch:
        path = make_npz(pathlib.Path(scratch) / "images.npz", values.images, 100, CLASSES)
        result = runs.train(settings(path, values.batch), pathlib.Path(scratch) / "run")
    peak.measure()
    total = calls[-1][1] - calls[0][1]
    inside = sum(end - begin for begin, end in calls[1:])
    speed = measure.speed(
        result["images_per_second"], counted.image_flops(MODEL, CLASSES).step, peak.of("float32")
    )
    rows = [
        *zip(measure.SPEED, speed, strict=True),
        ("calls", f"{len(calls) - 1:,}"),
        ("epoch", f"{total:.2f} s"),
        ("inside", f"{inside:.2f} s"),
        ("outside", f"{100 * (1 - inside / total):.2f} %"),
    ]
    print(f"{MODEL}, {values.images:,} images of 32 x 32, batch {values.batch}; {peak}")
    print(table(rows, ("", "after the first call")))


if __name__ == "__main__":
    flags.DEFINE_integer("images", 50_000, "training images", lower_bound=1)
    flags.DEFINE_integer("batch", 256, "images a step", lower_bound=1)
    app.run(main)
