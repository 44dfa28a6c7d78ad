"""What bfloat16 costs: the same runs in float32 and in bfloat16, and their test accuracies.

    python experiments/precision.py --config=configs/quickstart.py --seeds=0,1,2
    python experiments/precision.py --config=configs/clip_pad.py --config.epochs=100

Every run is an ordinary one, in `--workdir/DTYPE-SEED`, and goes on where it was stopped. Training
takes other paths from the first rounding on, so a single pair of runs shows the difference between
two runs of one setting too: give several seeds, and a task with many test images.
"""

from __future__ import annotations

import statistics
import sys
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from vp_jax import cli
from vp_jax.host import files
from vp_jax.report import table

DTYPES = ("float32", "bfloat16")


def settings(config: ConfigDict, dtype: str, seed: int) -> ConfigDict:
    """The same settings in another dtype and with another seed."""
    config = config.copy_and_resolve_references()
    with config.unlocked():
        config.backbone.dtype, config.seed = dtype, seed
    return config


def rows(results: dict[str, list[dict[str, Any]]]) -> list[tuple[str, ...]]:
    """Of the table: a row a dtype, then the differences, in percent and points."""
    scores = {name: [100 * r["test_metric"] for r in of] for name, of in results.items()}
    made = [
        (name, *(f"{x:.2f} %" for x in of), f"{statistics.mean(of):.2f} %")
        for name, of in scores.items()
    ]
    differences = [b - a for a, b in zip(*scores.values(), strict=True)]
    points = [f"{x:+.2f}" for x in (*differences, statistics.mean(differences))]
    return [*made, ("difference, points", *points)]


def main(argv: list[str]) -> None:
    """Trains and prints the table."""
    config, name = cli.parse_config(argv)
    workdir = files.expanded(flags.FLAGS.workdir or f"runs/precision_{name}")
    seeds = [int(seed) for seed in flags.FLAGS.seeds]

    from vp_jax.runs import train

    results: dict[str, list[dict[str, Any]]] = {dtype: [] for dtype in DTYPES}
    for seed in seeds:
        for dtype in DTYPES:
            print(f"{dtype}, seed {seed}", file=sys.stderr)
            made = train(settings(config, dtype, seed), workdir / f"{dtype}-{seed}")
            results[dtype].append(made)
    first = results[DTYPES[0]][0]
    print(f"{first['task']}, {first['test_examples']:,} test images, {first['backbone']}")
    print(table(rows(results), ("", *(f"seed {seed}" for seed in seeds), "mean")))


if __name__ == "__main__":
    cli.define_config_flag()
    flags.DEFINE_string("workdir", None, "folder of the runs (default: runs/precision_CONFIG)")
    flags.DEFINE_list("seeds", ["0"], "seeds, each trained in every dtype")
    cli.run(main)
