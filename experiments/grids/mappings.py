"""Output mappings and baselines side by side, on tasks whose classes the model does not know.

A ResNet-20 that knows CIFAR-10 reads USPS digits, by a padding prompt with every output mapping, a
linear probe and full fine-tuning, untrained and after 1 and 10 epochs; then `frequency` after one
epoch with one setting changed at a time, to see what brings most. About 15 minutes a seed on two
CPU cores. DeiT-Tiny, which knows ImageNet, sees small pictures of CIFAR-10, in the folder that
`experiments/subset.py` makes, and photographs of ten of its own classes.

Nothing is chosen on val but the epoch. A column is a task after a number of epochs; *untrained* is
the model without a prompt, with its mapping.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from experiments.grids.pairs import DEIT, RESNET, folder_of, located
from experiments.grids.trial import Settings, Trial

BASE = "frequency"
BATCH = 16
HEAD_RATE = "optimizer.learning_rates.head"


class Study(NamedTuple):
    """A task with its model.

    Attributes:
      name: in columns.
      settings: of the model, the task and the padding prompt.
      images: of an epoch.
      epochs: a column each.
      methods: of `METHODS`.
      changes: of `CHANGES`, rows of the first number of epochs.
    """

    name: str
    settings: Settings
    images: int
    epochs: Sequence[int]
    methods: Sequence[str]
    changes: Sequence[str] = ()


def mapping(name: str, **more: Any) -> dict[str, Any]:
    return {"head.name": name, **more}


MAPPINGS: dict[str, Settings] = {
    "first_k": mapping("first_k"),
    "random": mapping("random"),
    "frequency": mapping("frequency"),
    "iterative": mapping("iterative"),
    "iterative, second pass": mapping("iterative", **{"head.second_pass": True}),
    "bayesian": mapping("bayesian"),
    "bayesian_plus": mapping("bayesian_plus"),
}
BOTH = {"tune": ("prompt", "head"), HEAD_RATE: 0.1}
ADAM = {"optimizer.name": "adam"}
METHODS: dict[str, Settings] = {
    **MAPPINGS,
    "fully connected": mapping("fully_connected", **BOTH),
    "LP": mapping("linear", tune=("head",)),
    "prompt on finished LP": mapping("linear"),
    "LP and prompt together": mapping("linear", **BOTH),
    "FT": mapping("linear", tune=("backbone", "head"), **ADAM, **{"optimizer.learning_rate": 1e-3}),
}
CHANGES: dict[str, Settings] = {  # of frequency
    "batch 64": {"batch_size": 64, "schedule.warmup_share": 1.0},
    "padding 4": {"prompt": "normalize | pad(4)"},
    "padding 12": {"prompt": "normalize | pad(12)"},
    "prompt begins at zero": {"prompt": "normalize | pad(8, init='zeros')"},
    "Adam, 0.1": {**ADAM, "optimizer.learning_rate": 0.1},
    "learning rate 3": {"optimizer.learning_rate": 3.0},
}
BY_PADDING = {
    "prompt": "normalize | pad(30, init='zeros')",
    "batch_size": BATCH,
    **ADAM,
    "optimizer.learning_rate": 0.01,
    "schedule.warmup_steps": 20,
    "log_every_steps": 5,
}
FEW = ("first_k", "frequency", "iterative", "bayesian_plus", "LP")
STUDIES = (
    Study(
        "USPS",
        {
            **RESNET,
            "task.name": "usps",
            "task.data_dir": "{data}/usps.npz",
            "prompt": "normalize | pad(8)",
            "batch_size": BATCH,
            "optimizer.learning_rate": 10.0,
            "schedule.warmup_steps": 100,
        },
        6562,
        (1, 10),
        tuple(METHODS),
        tuple(CHANGES),
    ),
    Study(
        "CIFAR-10",
        {**DEIT, **BY_PADDING, "task.name": "folder", "task.data_dir": "runs/cifar10_60"},
        540,
        (10,),
        FEW,
    ),
    Study(
        "Imagenette", {**DEIT, **BY_PADDING, **folder_of("imagenette_val500.tar")}, 360, (5,), FEW
    ),
)


def trials(seeds: Sequence[int]) -> list[Trial]:
    """All cells of the table."""
    return list(_trials(seeds))


def _trials(seeds: Sequence[int]) -> Iterator[Trial]:
    for study in STUDIES:
        for row in study.methods:
            if row in MAPPINGS:
                yield _cell(study, row, seeds, 0, {**METHODS[row], "tune": ()}, passes=0.0)
        for epochs in study.epochs:
            for row in study.methods:
                head_of = "LP" if row == "prompt on finished LP" else ""
                yield _cell(study, row, seeds, epochs, METHODS[row], head_of=head_of)
            for name in study.changes if epochs == study.epochs[0] else ():
                yield _cell(study, f"frequency, {name}", seeds, epochs, CHANGES[name])


def _cell(
    study: Study, row: str, seeds: Sequence[int], epochs: int, own: Settings, **more: Any
) -> Trial:
    after = {0: "untrained", 1: "1 epoch"}.get(epochs, f"{epochs} epochs")
    return Trial(
        column=f"{study.name}, {after}",
        row=row,
        settings={**located(dict(study.settings)), "epochs": max(epochs, 1), **own},
        choices=[{}],
        seeds=seeds,
        images=study.images * epochs,
        **more,
    )
