"""Learning rates of a padding prompt on the digits: the quickstart's model and task.

The seed also chooses which training images are held out for validation, so that the spread over
seeds is that of whole runs. The seeds of a learning rate are trained at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.grids.trial import Trial

BASE = "learning rate 10"
RATES = (2.5, 5.0, 10.0, 20.0, 40.0)
EPOCHS = 10
IMAGES = 1167
SHARED: dict[str, Any] = {
    "backbone.name": "clip_tiny",
    "head.templates": ("{}",),
    "task.name": "digits",
    "prompt": "normalize | pad(4)",
    "batch_size": 16,
    "epochs": EPOCHS,
    "schedule.warmup_steps": 73,
}


def trials(seeds: Sequence[int]) -> list[Trial]:
    """A row a learning rate."""
    return [
        Trial(
            column="clip_tiny, digits",
            row=f"learning rate {rate:g}",
            settings={**SHARED, "optimizer.learning_rate": rate},
            choices=[{}],
            seeds=seeds,
            images=EPOCHS * IMAGES,
        )
        for rate in RATES
    ]
