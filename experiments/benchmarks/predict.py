"""What `predict` costs beside the forward pass of its model, and how much memory it takes.

    python experiments/benchmarks/predict.py --workdir=runs/quickstart --images=photographs
    python experiments/benchmarks/predict.py --workdir=RUN --images=DIR --count=2000 --rounds=10

The image files of a folder are linked again and again under other names until there are --count of
them. In every round, `predict` answers on an equal share of them as the command does (read, decode,
resize, compute, write), and the compiled forward pass alone runs over as many images, of batches
that are on the device already: both in turns in one process, so that what else the machine does
slows both. Then the command itself runs, in a process of its own, on a tenth of the images and on
all of them: the largest resident set that each had, as the kernel counted it, with Python and JAX
in it.
"""

from __future__ import annotations

import itertools
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import jax
import measure
import numpy as np
from absl import app, flags
from PIL import Image

import vp_jax
from vp_jax.answers import answer_all
from vp_jax.classifier import Classifier, to_probabilities
from vp_jax.data.sources.folder_layout import is_image
from vp_jax.report import table
from vp_jax.report.predictions import writer
from vp_jax.step.sharding import by_example, put

CHILD = """
import resource, subprocess, sys
with open(sys.argv[1], "w") as out:
    command = [sys.executable, "-m", "vp_jax.predict", *sys.argv[2:]]
    subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""
KINDS = ("predict", "forward pass alone")


def link(source: pathlib.Path, out: pathlib.Path, count: int, shares: int) -> tuple[int, float]:
    """Links image files below `out/0`, `out/1`, ..., equally many in each, in turns.

    Returns:
      How many distinct ones there are, and the mean number of their pixels.
    """
    found = sorted(path for path in source.rglob("*") if path.is_file() and is_image(path.name))
    sizes = [np.prod(Image.open(path).size) for path in found]
    for number, path in zip(range(count), itertools.cycle(found), strict=False):
        folder = out / str(number * shares // count)
        folder.mkdir(parents=True, exist_ok=True)
        os.symlink(path.absolute(), folder / f"{number:06}{path.suffix}")
    return min(len(found), count), float(np.mean(sizes))


def timed(action: Callable[[], None]) -> np.ndarray:
    """Seconds that an action takes, and those that all cores together work for it, `[2]`."""
    begin = time.perf_counter(), time.process_time()
    action()
    return np.array([time.perf_counter(), time.process_time()]) - begin


def forward_alone(model: Classifier, images: int) -> np.ndarray:
    """What `timed` says of the forward pass over so many images, in batches of the model."""
    side = model.rule.image_size
    place = by_example(model.mesh)
    batch = put(np.full((model.batch_size, side, side, 3), 128, np.uint8), place)
    run = jax.jit(to_probabilities(model.logits(model.rule)))

    def once() -> jax.Array:
        return run(model.parts, batch, rng=model.key)

    once().block_until_ready()

    def every() -> None:
        for _ in range(-(-images // model.batch_size)):
            once().block_until_ready()

    return timed(every)


def predicted(model: Classifier, folder: pathlib.Path) -> np.ndarray:
    """What `timed` says of `predict` on all images of a folder."""
    with open(os.devnull, "w") as nowhere:
        write = writer("csv", model.class_names, 1, False, nowhere)

        def every() -> None:
            count = answer_all(model, [str(folder)], write)
            assert count.images and not count.broken, count.summary(False)

        return timed(every)


def peak_memory(workdir: str, folders: list[pathlib.Path], scratch: pathlib.Path) -> int:
    """The largest resident set of the command, in bytes."""
    arguments = [f"--workdir={workdir}", "--format=csv", *map(str, folders)]
    call = [sys.executable, "-c", CHILD, str(scratch / "found.csv"), *arguments]
    return int(subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main(argv: list[str]) -> None:
    """Links the images, takes turns, measures the command, prints a table."""
    del argv
    values = flags.FLAGS
    model = vp_jax.load(values.workdir)
    with tempfile.TemporaryDirectory() as temporary:
        scratch = pathlib.Path(temporary)
        out, rounds = scratch / "images", values.rounds
        distinct, pixels = link(pathlib.Path(values.images), out, values.count, rounds)
        folders = [out / str(number) for number in range(rounds)]
        predicted(model, folders[0]), forward_alone(model, 1)  # compile
        times: dict[str, list[np.ndarray]] = {name: [] for name in KINDS}
        for folder in folders:
            count = len(list(folder.iterdir()))
            times[KINDS[0]].append(predicted(model, folder) / count)
            times[KINDS[1]].append(forward_alone(model, count) / count)
        print(
            f"{values.count:,} photographs ({distinct:,} distinct, of {pixels / 1e3:,.0f} thousand "
            f"pixels), {model}, batches of {model.batch_size}, {rounds} rounds"
        )
        walls = {name: [wall for wall, _ in each] for name, each in times.items()}
        rows = [
            (
                name,
                f"{1 / statistics.median(walls[name]):,.1f}",
                f"{1000 * np.median([work for _, work in each]):,.2f}",
            )
            for name, each in times.items()
        ]
        print(table(rows, ("", "images/s", "CPU ms an image")))
        print(f"predict at {measure.ratio(walls[KINDS[1]], walls[KINDS[0]])} times its speed")
        few = peak_memory(values.workdir, folders[: max(rounds // 10, 1)], scratch)
        every = peak_memory(values.workdir, folders, scratch)
    print(f"most memory of the command: {few / 1e9:.2f} GB on a tenth, {every / 1e9:.2f} GB on all")


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "of a finished run", required=True)
    flags.DEFINE_string("images", None, "folder of photographs", required=True)
    flags.DEFINE_integer("count", 10000, "of images")
    flags.DEFINE_integer("rounds", 10, "that they are shared among")
    app.run(main)
