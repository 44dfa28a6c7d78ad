"""Accuracy against how far a prompt may change an image.

Every pixel trains, the change of each stays within epsilon of 255 grey levels.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.grids.methods import ADAM, BATCH, SHARED, rates
from experiments.grids.pairs import PAIRS, located
from experiments.grids.trial import Trial

BASE = "epsilon 8"
EPSILONS = (1, 2, 4, 8, 16, 32, 64)


def trials(seeds: Sequence[int]) -> list[Trial]:
    """A row an epsilon, a column a task."""
    return [
        Trial(
            column=pair.name,
            row=f"epsilon {epsilon}",
            settings={
                **SHARED,
                **located(pair.settings),
                **ADAM,
                "epochs": pair.epochs,
                "prompt": f"within(full(init='zeros'), {epsilon}) | normalize",
            },
            choices=rates(0.01),
            seeds=seeds,
            images=pair.updates * BATCH,
        )
        for pair in PAIRS
        if not pair.costly
        for epsilon in EPSILONS
    ]
