"""How long a whole run of CIFAR100's size takes: some epochs, extrapolated to the paper's 1,000.

    python experiments/benchmarks/cifar_run.py --dtype=bfloat16
    python experiments/benchmarks/cifar_run.py --tiny

`vp_jax.runs.train` itself trains a prompt for CLIP ViT-B/32 on 50,000 random images of 32 x 32 in
100 classes, `resident`, in batches of 256, everything else as in the paper. After every epoch the
prompt is evaluated on 10,000 images, as many as the paper's code evaluates, and a checkpoint is
saved. The weights are random, in a safetensors file.

*epoch* is the median time from the end of one epoch to the end of the next, evaluation and
checkpoint included. *1,000 epochs* is the measured run with 1,000 such epochs in place of its own.
"""

from __future__ import annotations

import pathlib
import statistics
import tempfile
import time
from typing import Any
from unittest import mock

import counted
import measure
import numpy as np
from absl import app, flags, logging
from random_weights import write_model
from synthetic import make_npz

from vp_jax import config as config_lib
from vp_jax import runs
from vp_jax.backbones.clip.sizes import SIZES
from vp_jax.host.memory import keep_freed_memory
from vp_jax.report import table
from vp_jax.training.loop import Loop

PAPER_EPOCHS = 1000


def settings(
    folder: pathlib.Path, images: pathlib.Path, model: str, dtype: str, batch: int, epochs: int
) -> Any:
    """The paper's, with these."""
    config = config_lib.default()
    config.backbone.name, config.backbone.weights = model, str(folder)
    config.backbone.dtype = dtype
    config.task.name, config.task.data_dir = "npz", str(images)
    config.task.pipeline, config.batch_size, config.epochs = "resident", batch, epochs
    config.prompt = f"normalize | pad({SIZES[model].image_size * 30 // 224})"
    return config


def timed_run(config: Any, workdir: pathlib.Path) -> tuple[dict[str, Any], list[float], float]:
    """The result of a run, the times at which its epochs ended, and the seconds of all of it."""
    ends = []
    save = Loop.save

    def timed_save(loop: Loop) -> None:
        save(loop)
        ends.append(time.monotonic())

    start = time.monotonic()
    with mock.patch.object(Loop, "save", timed_save):
        result = runs.train(config, workdir)
    return result, ends, time.monotonic() - start


def duration(seconds: float) -> str:
    """Hours and minutes of what is long."""
    return f"{seconds:.1f} s" if seconds < 600 else f"{seconds / 3600:.2f} h"


def main(argv: list[str]) -> None:
    """Makes model and images, trains, prints a table."""
    del argv
    keep_freed_memory()
    logging.set_verbosity(logging.WARNING)
    values = flags.FLAGS
    model, images, evaluated = values.model, 50_000, 10_000
    batch, classes = values.batch, 100
    if values.tiny:
        model, images, evaluated, batch, classes = "clip_tiny", 80, 10, 8, 4
    peak = measure.Peak((values.dtype,))
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        write_model(root / "model", model)
        path = make_npz(root / "images.npz", images, evaluated, classes)
        config = settings(root / "model", path, model, values.dtype, batch, values.epochs)
        result, ends, whole = timed_run(config, root / "run")
    peak.measure()
    epoch = statistics.median(np.diff(ends))
    outside = whole - (ends[-1] - ends[0]) - epoch
    flops = counted.image_flops(model, classes)
    speed = measure.speed(result["images_per_second"], flops.step, peak.of(values.dtype))
    rows = [
        *zip(measure.SPEED, speed, strict=True),
        ("epoch", f"{epoch:.2f} s"),
        (f"{values.epochs} epochs, whole run", duration(whole)),
        (f"{PAPER_EPOCHS:,} epochs, extrapolated", duration(outside + PAPER_EPOCHS * epoch)),
    ]
    of = f"{images:,} images, {evaluated:,} evaluated an epoch, batch {batch}"
    print(f"{model}, {values.dtype}, {of}; {measure.machine()}\n{peak}\n")
    print(table(rows, ("", "measured")))


if __name__ == "__main__":
    flags.DEFINE_string("model", "clip_vit_b32", "a CLIP with a vision transformer")
    flags.DEFINE_string("dtype", "float32", "that the backbone computes in")
    flags.DEFINE_integer("batch", 256, "images a step", lower_bound=1)
    flags.DEFINE_integer("epochs", 5, "that are measured", lower_bound=2)
    flags.DEFINE_bool("tiny", False, "a small model and few images: a smoke test")
    app.run(main)
