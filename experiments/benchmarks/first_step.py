"""How long it takes from the command to the first train step, on a folder of photographs.

    python experiments/benchmarks/first_step.py
    python experiments/benchmarks/first_step.py -- --config.backbone.name=deit_ti16 \
        --config.backbone.weights=deit_tiny_patch16_224.safetensors --config.head.name=first_k

A folder of JPEG files of 500 x 375 is made (by `photographs.py` beside this file), and the training
command is started on it twice, each time with a workdir of its own: once with nothing cached,
neither images nor compiled programs, and once more. The clock runs from the start of the process
until the row of metrics of the first step is written; the run is then stopped. Arguments behind
`--` are given to the command too. `--model=clip_vit_b32` is about a CLIP of random weights, in a
file, with the paper's prompt and batches of 32.

Takes two minutes on two cores, most of them for making the folder.
"""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from absl import app, flags
from photographs import make
from random_weights import write_model

from vp_jax.report import table

LONGEST = 600.0  # seconds
COMMAND = (
    *("-m", "vp_jax.train", "--config=configs/quickstart.py", "--config.task.name=folder"),
    *("--config.head.templates=('This is a photo of a {}',)", "--config.log_every_steps=1"),
)


def until_first_step(arguments: list[str], workdir: pathlib.Path, cache: pathlib.Path) -> float:
    """Seconds from the start of the training command to its first step; it is stopped then.

    Raises:
      RuntimeError: it ended before, or took too long.
    """
    root = pathlib.Path(__file__).parents[2]
    environment = {**os.environ, "VP_JAX_CACHE": str(cache)}
    metrics = workdir / "metrics.jsonl"
    begin = time.monotonic()
    with open(workdir.with_suffix(".log"), "w+") as log:
        process = subprocess.Popen(
            [sys.executable, *COMMAND, *arguments, f"--workdir={workdir}"],
            cwd=root,
            env=environment,
            stdout=log,
            stderr=log,
        )
        try:
            while not (metrics.exists() and metrics.stat().st_size):
                if process.poll() is not None or time.monotonic() - begin > LONGEST:
                    log.seek(0)
                    raise RuntimeError(f"no first step was made:\n{log.read()[-2000:]}")
                time.sleep(0.005)
            return time.monotonic() - begin
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def main(argv: list[str]) -> None:
    """Makes the folder, starts twice, prints a table."""
    values = flags.FLAGS
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        photographs = pathlib.Path(values.photographs or root / "photographs")
        if not values.photographs:
            make(photographs, values.count)
        arguments = [f"--config.task.data_dir={photographs}", *argv[1:]]
        if values.model:
            write_model(root / "model", values.model)
            arguments += [
                f"--config.backbone.name={values.model}",
                f"--config.backbone.weights={root / 'model'}",
                *("--config.prompt=normalize | pad(30)", "--config.batch_size=32"),
            ]
        rows = []
        for name in ("first start", "second start"):
            seconds = until_first_step(arguments, root / name.split()[0], root / "cache")
            rows.append((name, f"{seconds:.1f} s"))
    print(table(rows, ("", "until the first step")))


if __name__ == "__main__":
    flags.DEFINE_integer("count", 10_000, "photographs", lower_bound=20)
    flags.DEFINE_string("model", None, "a CLIP, of random weights, instead of clip_tiny")
    flags.DEFINE_string("photographs", None, "a folder of images that is there, instead")
    app.run(main)
