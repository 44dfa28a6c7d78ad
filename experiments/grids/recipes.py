"""What the recipe of `configs/best.py` could be: prompts and heads that learn together.

All but one begin with the linear head that is fitted to the features of the images without a
prompt, on the protocol of `methods`; that one as the texts of the classes, or at random. The recipe
is the row with the highest mean accuracy on val.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.grids.methods import (
    FAST,
    FROM_LP,
    FULL,
    HEAD_RATE,
    LINEAR,
    MASKED,
    PAD,
    PROMPT_RATE,
    Method,
    cells,
    prompt,
    rates,
)
from experiments.grids.trial import Trial

BASE = "every pixel"
"""The row whose errors the others are compared with."""


def recipe(name: str, text: str, middle: float, **more: Any) -> Method:
    """A row: a prompt of which the rate is chosen."""
    return Method(
        name, prompt(text, **{**FROM_LP, **more}), rates(middle, PROMPT_RATE), costly=True
    )


RECIPES = (
    recipe(BASE, FULL, 3e-3),
    recipe("from the texts", FULL, 3e-3, **{"start.head": False}),
    recipe("slow head", FULL, 3e-3, **{HEAD_RATE: 1e-4}),
    recipe("fast head", FULL, 3e-3, **FAST),
    recipe("fast head and prompt", FULL, 1e-2, **FAST),
    Method(
        "padding and head by SGD",
        prompt(PAD, **LINEAR, **{HEAD_RATE: 0.1, "start.head": True}),
        rates(3.0, PROMPT_RATE),
        costly=True,
    ),
    recipe("mean over steps", FULL, 3e-3, **{"optimizer.average": 0.99}),
    recipe("smoothed labels", FULL, 3e-3, **{"loss.label_smoothing": 0.1}),
    recipe("masked", MASKED, 3e-3),
    recipe("masked, fast head", MASKED, 3e-3, **FAST),
    recipe("masked, smoothed labels", MASKED, 3e-3, **{"loss.label_smoothing": 0.1}),
    recipe("low rank", "low_rank(4) | normalize", 3e-3),
)


def trials(seeds: Sequence[int]) -> list[Trial]:
    """All cells of the table."""
    return list(cells(RECIPES, seeds))
