"""Every kind of prompt and the baselines on one protocol.

All methods of a task see the same images, splits and batches of 16 and make the same number of
updates. What each has to choose, a learning rate mostly, it chooses among three values by the mean
accuracy on val over the seeds; the epoch on val too; test is evaluated once a run. Whatever a
method is not given by its authors it has from padding's protocol.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from experiments.grids.pairs import PAIRS, Pair, located
from experiments.grids.trial import Trial

BATCH = 16
SHARED: dict[str, Any] = {
    "batch_size": BATCH,
    "schedule.warmup_steps": 100,
    "schedule.warmup_share": 0.1,
    "log_every_steps": 50,
}
RATE = "optimizer.learning_rate"
HEAD_RATE = "optimizer.learning_rates.head"
PROMPT_RATE = "optimizer.learning_rates.prompt"
ADAM = {"optimizer.name": "adam"}
UNIT = {"optimizer.momentum": 0.0, "optimizer.gradient.prompt": "unit"}
LINEAR = {"tune": ("prompt", "head"), "head.name": "linear"}


class Method(NamedTuple):
    """A row.

    Attributes:
      name: of the row.
      settings: `{pad}`, `{inner}` in a prompt are the sizes of the paper's frame and of EVP's
        image at the model's size, `{features}` the number of the model's features.
      choices: three, or one where there is nothing to choose.
      costly: whether it is tried on costly pairs too.
      passes: as for a trial.
    """

    name: str
    settings: dict[str, Any]
    choices: Sequence[dict[str, Any]]
    costly: bool = False
    passes: float = 1.0


def rates(*values: float, name: str = RATE) -> list[dict[str, Any]]:
    return [{name: value} for value in values]


def prompt(text: str, **more: Any) -> dict[str, Any]:
    return {"prompt": text, **more}


METHODS = (
    Method("zero-shot", {"tune": ()}, [{}], costly=True, passes=0.0),
    Method("padding", prompt("normalize | pad({pad})"), rates(2.5, 10.0, 40.0), costly=True),
    Method(
        "EVP",
        prompt("shrink({inner}) | pad({pad}, init='zeros') | normalize", **UNIT),
        rates(0.3, 1.0, 3.0),
        costly=True,
    ),
    Method(
        "ILM-VP frame",
        prompt("shrink({inner}) | frame({pad}) | normalize", **ADAM),
        rates(0.01, 0.03, 0.1),
    ),
    Method("every pixel", prompt("normalize | full(init='zeros')", **UNIT), rates(0.3, 1.0, 3.0)),
    Method("low rank", prompt("low_rank(4) | normalize", **ADAM), rates(0.003, 0.01, 0.03)),
    Method(
        "SMM", prompt("normalize | masked(full(init='zeros'))", **ADAM), rates(0.003, 0.01, 0.03)
    ),
    Method(
        "affine, colour, border",
        prompt("border(affine | color) | normalize", **ADAM),
        rates(0.003, 0.01, 0.03),
    ),
    Method(
        "generator", prompt("normalize | generator({features})", **ADAM), rates(1e-4, 1e-3, 1e-2)
    ),
    Method("4 clusters", prompt("normalize | cluster(pad({pad}), 4)"), rates(2.5, 10.0, 40.0)),
    Method(
        "ensemble of 3",
        prompt("normalize | ensemble(pad({pad}), 3)"),
        rates(2.5, 10.0, 40.0),
        passes=3.0,
    ),
    Method(
        "residual head",
        {"tune": ("head",), "head.name": "residual", **ADAM},  # begins with no residual
        rates(1e-3, 1e-2, 1e-1),
        passes=0.5,
    ),
    Method("LP", {"tune": ("head",), "head.name": "linear"}, [{}], costly=True, passes=0.1),
    Method(
        "padding and LP",
        prompt("normalize | pad({pad}, init='zeros')", **LINEAR, **{HEAD_RATE: 0.1}),
        rates(1.0, 3.0, 10.0, name=PROMPT_RATE),
    ),
    Method(
        "FT",
        {"tune": ("backbone", "head"), "head.name": "linear", **ADAM},
        rates(1e-5, 1e-4, 1e-3),
        costly=True,
        passes=1.5,
    ),
    Method(
        "recipe",
        prompt(
            "normalize | full(init='zeros')",
            **LINEAR,
            **ADAM,
            **{"start.head": True, HEAD_RATE: 1e-3},
        ),
        rates(3e-4, 1e-3, 3e-3, name=PROMPT_RATE),
        costly=True,
    ),
)


def trials(seeds: Sequence[int]) -> list[Trial]:
    """All cells of the table."""
    return list(_trials(seeds))


def _trials(seeds: Sequence[int]) -> Iterator[Trial]:
    for pair in PAIRS:
        for method in METHODS:
            if method.costly or not pair.costly:
                yield Trial(
                    column=pair.name,
                    row=method.name,
                    settings={**SHARED, **located(pair.settings), **_sized(method.settings, pair)},
                    choices=method.choices,
                    seeds=seeds,
                    images=pair.updates * BATCH,
                    passes=method.passes,
                )


def _sized(settings: dict[str, Any], pair: Pair) -> dict[str, Any]:
    sides = {"pad": round(30 / 224 * pair.side), "inner": round(164 / 224 * pair.side)}
    sizes = {**sides, "features": pair.features}
    own = {"prompt": settings["prompt"].format(**sizes)} if "prompt" in settings else {}
    return {"epochs": pair.epochs, **settings, **own}
