"""Output mappings and baselines side by side, as tables of test accuracy.

    python experiments/mappings.py --study=usps --weights=cifar10_resnet20.safetensors \
        --data=usps.npz
    python experiments/mappings.py --study=folder --weights=deit_tiny_patch16_224.safetensors \
        --data=imagenette_val500.tar

`usps`: a ResNet-20 that knows CIFAR-10 reads USPS digits, by a padding prompt with every output
mapping, a linear probe and full fine-tuning, untrained and after 1 and 10 epochs; then `frequency`
after one epoch with one setting changed at a time, to see what brings most. About 15 minutes on two
CPU cores.

`folder`: DeiT-Tiny, which knows ImageNet, on a folder or an archive of images, `CLASS/*` or
`train/CLASS/*` and `test/CLASS/*`, through a padding prompt with the paper's mapping (class i is
source class i), mappings found once and anew after every epoch, and a linear probe.

The best epoch is chosen on the validation split, a tenth of the training images; the test split is
evaluated once a run. Every run is kept in a folder of --workdir; a second call goes on where the
first stopped.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from absl import app, flags, logging
from ml_collections import ConfigDict

from vp_jax import config as base
from vp_jax import runs
from vp_jax.errors import UserError
from vp_jax.host import files
from vp_jax.host.memory import keep_freed_memory
from vp_jax.report import table

Settings = dict[str, Any]

SHARED: dict[str, Settings] = {
    "usps": {
        "backbone.name": "resnet20_cifar",
        "task.name": "usps",
        "head.name": "frequency",
        "prompt": "normalize | pad(8)",
        "batch_size": 16,
        "optimizer.learning_rate": 10.0,
        "schedule.warmup_steps": 100,
    },
    "folder": {
        "backbone.name": "deit_ti16",
        "task.name": "folder",
        "head.name": "iterative",
        "prompt": "normalize | pad(30, init='zeros')",
        "batch_size": 16,
        "optimizer.name": "adam",
        "optimizer.learning_rate": 0.01,
        "schedule.warmup_steps": 20,
        "log_every_steps": 5,
    },
}
COLUMNS = {"usps": (1, 10), "folder": (10,)}
PROBE = {"tune": ("head",), "head.name": "linear"}
FINE_TUNING = {
    "tune": ("backbone", "head"),
    "head.name": "linear",
    "optimizer.name": "adam",
    "optimizer.learning_rate": 1e-3,
}
METHODS: dict[str, dict[str, Settings]] = {
    "usps": {
        "first_k": {"head.name": "first_k"},
        "random": {"head.name": "random"},
        "frequency": {},
        "iterative": {"head.name": "iterative"},
        "iterative, second pass": {"head.name": "iterative", "head.second_pass": True},
        "bayesian": {"head.name": "bayesian"},
        "bayesian_plus": {"head.name": "bayesian_plus"},
        "fully connected": {
            "head.name": "fully_connected",
            "tune": ("prompt", "head"),
            "optimizer.learning_rates.head": 0.1,
        },
        "LP": PROBE,
        "prompt on finished LP": {"head.name": "linear", "head.from_run": "LP"},
        "LP and prompt together": {
            "head.name": "linear",
            "tune": ("prompt", "head"),
            "optimizer.learning_rates.head": 0.1,
        },
        "FT": FINE_TUNING,
    },
    "folder": {
        "first_k": {"head.name": "first_k"},
        "frequency": {"head.name": "frequency"},
        "iterative": {},
        "bayesian_plus": {"head.name": "bayesian_plus"},
        "LP": PROBE,
    },
}
CHANGES: dict[str, Settings] = {  # of frequency on usps, one epoch
    "as above": {},
    "batch 64": {"batch_size": 64, "schedule.warmup_share": 1.0},
    "padding 4": {"prompt": "normalize | pad(4)"},
    "padding 12": {"prompt": "normalize | pad(12)"},
    "prompt begins at zero": {"prompt": "normalize | pad(8, init='zeros')"},
    "Adam, 0.1": {"optimizer.name": "adam", "optimizer.learning_rate": 0.1},
    "learning rate 3": {"optimizer.learning_rate": 3.0},
}


class Run(NamedTuple):
    """One run of a study: its name, number of epochs and settings."""

    name: str
    epochs: int
    settings: Settings


def plan(study: str, epochs: tuple[int, ...]) -> Iterator[Run]:
    """The runs of a study's first table; a linear probe, which has no epochs, is there once."""
    for name, settings in METHODS[study].items():
        for count in (1,) if settings is PROBE else epochs:
            yield Run(name, count, settings)


def folder(workdir: pathlib.Path, run: Run, seed: int) -> pathlib.Path:
    """Where a run is kept."""
    return workdir / f"{run.name}_{run.epochs}_seed{seed}".replace(", ", "_").replace(" ", "_")


def make_config(
    study: str, run: Run, data: str, weights: str, seed: int, workdir: pathlib.Path
) -> ConfigDict:
    """All settings of one run; `head.from_run` names another run of the study."""
    settings = dict(run.settings)
    if "head.from_run" in settings:
        first = settings["head.from_run"]
        probe = Run(first, 1, METHODS[study][first])
        settings["head.from_run"] = str(folder(workdir, probe, seed))
    config = base.default()
    config.update_from_flattened_dict(
        {
            **SHARED[study],
            "backbone.weights": weights,
            "task.data_dir": data,
            "seed": seed,
            "epochs": run.epochs,
            **settings,
        }
    )
    return config


def percent(value: float | None) -> str:
    """An accuracy in [0, 1] as a cell."""
    return "-" if value is None else f"{100 * value:.1f} %"


def main_table(
    study: str, epochs: tuple[int, ...], results: Mapping[tuple[str, int], runs.Result]
) -> str:
    """A row a method: untrained, then a column for each number of epochs."""
    rows = []
    for name, settings in METHODS[study].items():
        counts = (1,) if settings is PROBE else epochs
        found = [results[name, count] for count in counts]
        cells = [percent(result["test_accuracy"]) for result in found]
        cells = ["-"] * (len(epochs) - len(cells)) + cells
        first = found[0]
        rows.append(
            (
                name,
                f"{first['trainable_parameters']:,}",
                percent(first["zero_shot_test_accuracy"]),
                *cells,
            )
        )
    headers = ("method", "trained", "untrained", *(f"epoch {n}" for n in epochs))
    return table(rows, headers)


def main(argv: list[str]) -> None:
    """Runs a study and prints its tables."""
    del argv
    if not flags.FLAGS.data or not flags.FLAGS.weights:
        raise app.UsageError("--data and --weights are needed")
    keep_freed_memory()
    logging.set_verbosity(logging.WARNING)  # orbax tells of every file otherwise
    study = flags.FLAGS.study
    epochs = tuple(map(int, flags.FLAGS.epochs or COLUMNS[study]))
    workdir = files.expanded(flags.FLAGS.workdir) / study

    def train(run: Run) -> runs.Result:
        seed = flags.FLAGS.seed
        config = make_config(study, run, flags.FLAGS.data, flags.FLAGS.weights, seed, workdir)
        return runs.train(config, folder(workdir, run, seed))

    try:
        results = {(run.name, run.epochs): train(run) for run in plan(study, epochs)}
        print(main_table(study, epochs, results), flush=True)
        if study == "usps":
            rows = []
            for name, settings in CHANGES.items():
                result = train(Run(f"change_{name}", 1, settings))
                rows.append(
                    (name, percent(result["val_accuracy"]), percent(result["test_accuracy"]))
                )
            print()
            print(table(rows, ("frequency, 1 epoch", "validation", "test")))
    except UserError as error:
        raise app.UsageError(str(error)) from error


if __name__ == "__main__":
    flags.DEFINE_enum("study", "usps", ["usps", "folder"], "which table")
    flags.DEFINE_string("data", None, "usps.npz; or a folder or archive of images")
    flags.DEFINE_string("weights", None, "of the backbone")
    flags.DEFINE_string("workdir", "runs/mappings", "folder of all runs")
    flags.DEFINE_list("epochs", None, "numbers of epochs, a column each")
    flags.DEFINE_integer("seed", 0, "of every run")
    app.run(main)
