"""How much host memory a dataset takes that is far larger than it.

    python experiments/benchmarks/memory.py
    python experiments/benchmarks/memory.py --gigabytes=0.2 --steps=50

A folder of JPEG files of that many gigabytes is made (20 distinct photographs of 2000 x 1500,
hard-linked under many names), and batches of a training are read from it by `cached` and by
`stream`, in processes of their own. *most memory* is the largest resident set that each had, as the
kernel counted it, with Python and JAX in it; *decoded* is the size of all images in uint8, which
`cached` keeps on disk, *read* that of the batches that were read.

Takes ten minutes on two cores and twice the gigabytes of disk.
"""

from __future__ import annotations

import os
import pathlib
import tempfile

import measure
from absl import app, flags
from photographs import CLASSES, jpeg

from vp_jax import data
from vp_jax.report import table

DISTINCT = 20

READ = """
import json, resource, sys, time
from vp_jax import data
from vp_jax.data.images.preprocess import ResizeRule
from vp_jax.training.feed import make_feed
from vp_jax.step.sharding import make_mesh

folder, pipeline, cache, size, batch, steps = sys.argv[1:]
size, batch, steps = int(size), int(batch), int(steps)
task = data.load_task(
    "folder", resize=ResizeRule(size), data_dir=folder, pipeline=pipeline, cache_dir=cache
)
feed = make_feed(task, batch, 0, make_mesh())
begin = time.monotonic()
for number, got in enumerate(feed.train_batches(task.train, 0, steps)):
    got.image.block_until_ready()
seconds = time.monotonic() - begin
decoded = sum(map(len, task.splits)) * size * size * 3
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
read = steps * batch * size * size * 3
print("RESULT", json.dumps([decoded, read, steps * batch / seconds, peak]))
"""


def make_folder(out: pathlib.Path, gigabytes: float, size: tuple[int, int]) -> tuple[int, int]:
    """Links photographs under many names; returns their number and bytes."""
    (out / "distinct").mkdir(parents=True)
    for label in range(CLASSES):
        (out / "folder" / f"class_{label}").mkdir(parents=True)
    count = total = 0
    while total < gigabytes * 1e9 or count < 3 * CLASSES:
        distinct = out / "distinct" / f"{count % DISTINCT}.jpg"
        if not distinct.exists():
            distinct.write_bytes(jpeg(count, size))
        os.link(distinct, out / "folder" / f"class_{count % CLASSES}" / f"{count:06}.jpg")
        total += distinct.stat().st_size
        count += 1
    return count, total


def main(argv: list[str]) -> None:
    """Makes the folder, reads it, prints a table."""
    del argv
    values = flags.FLAGS
    with tempfile.TemporaryDirectory(dir=values.scratch) as scratch:
        root = pathlib.Path(scratch)
        size = (values.width, values.width * 3 // 4)
        count, total = make_folder(root, values.gigabytes, size)
        print(f"{count:,} photographs of {size[0]} x {size[1]}, {total / 1e9:.1f} GB")
        rows = []
        for pipeline in data.PIPELINES[1:]:
            arguments = (root / "folder", pipeline, root / "cache", values.size, values.batch)
            code = ("-c", READ, *arguments, values.steps)
            decoded, read, rate, peak = measure.in_process_of_its_own(code)
            rows.append(
                (
                    pipeline,
                    f"{decoded / 1e9:.1f} GB",
                    f"{read / 1e9:.1f} GB",
                    f"{rate:,.0f}",
                    f"{peak / 1e9:.2f} GB",
                )
            )
    print(table(rows, ("pipeline", "decoded", "read", "images/s", "most memory")))


if __name__ == "__main__":
    flags.DEFINE_float("gigabytes", 10.0, "of JPEG files", lower_bound=0.001)
    flags.DEFINE_integer("width", 2000, "of the photographs, in pixels", lower_bound=4)
    flags.DEFINE_integer("size", 512, "side of the decoded images", lower_bound=1)
    flags.DEFINE_integer("batch", 64, "images a step", lower_bound=1)
    flags.DEFINE_integer("steps", 100, "batches to read", lower_bound=1)
    flags.DEFINE_string("scratch", None, "where the files go; by default the system's place")
    app.run(main)
