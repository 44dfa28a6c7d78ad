"""Every kind of prompt and the baselines on one protocol.

All methods of a task see the same images, splits and batches of 16 and make the same number of
updates. What each has to choose, a learning rate mostly, it chooses among five values, each about
three times the one before, by the accuracy on val with the first seed; the epoch of every run on
val too; test is evaluated once a run. Whatever a method is not given by its authors it has from
padding's protocol.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from experiments.grids.pairs import PAIRS, Pair, located
from experiments.grids.trial import Trial

BASE = "padding"
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
"""Steps as long as the rate, which is that of a 32-pixel image and grows with the side."""
LINEAR = {"tune": ("prompt", "head"), "head.name": "linear"}
FROM_LP: dict[str, Any] = {**LINEAR, **ADAM, "start.head": True, HEAD_RATE: 1e-3}
"""A prompt beside a layer that begins as the linear probe."""
FAST: dict[str, Any] = {**FROM_LP, HEAD_RATE: 1e-2}
"""The same, and the layer learns ten times as fast."""
PAD = "normalize | pad({pad}, init='zeros')"
FULL = "normalize | full(init='zeros')"
MASKED = "normalize | masked(full(init='zeros'))"


class Method(NamedTuple):
    """A row.

    Attributes:
      name: of the row.
      settings: `{pad}`, `{inner}` in a prompt are the sizes of the paper's frame and of EVP's
        image at the model's size, `{features}` the number of the model's features.
      choices: five, or one where there is nothing to choose.
      costly: whether it is tried on costly pairs too.
      passes: as for a trial.
    """

    name: str
    settings: dict[str, Any]
    choices: Sequence[dict[str, Any]]
    costly: bool = False
    passes: float = 1.0


def rates(middle: float, name: str = RATE) -> list[dict[str, Any]]:
    """Five around one, from a tenth of it to ten times it."""
    return [{name: float(f"{middle * step:.2g}")} for step in (0.1, 0.32, 1.0, 3.2, 10.0)]


def prompt(text: str, **more: Any) -> dict[str, Any]:
    return {"prompt": text, **more}


METHODS = (
    Method("zero-shot", {"tune": ()}, [{}], costly=True, passes=0.0),
    Method("padding", prompt("normalize | pad({pad})"), rates(13.0), costly=True),
    Method(
        "EVP",
        prompt("shrink({inner}) | pad({pad}, init='zeros') | normalize", **UNIT),
        rates(5.0),
        costly=True,
    ),
    Method(
        "ILM-VP frame",
        prompt("shrink({inner}) | frame({pad}) | normalize", **ADAM),
        rates(0.3),
    ),
    Method(
        "every pixel",
        prompt(FULL, **UNIT),
        rates(1.0),
        costly=True,
    ),
    Method("low rank", prompt("low_rank(4) | normalize", **ADAM), rates(0.1)),
    Method("SMM", prompt(MASKED, **ADAM), rates(0.01)),
    Method(
        "affine, colour, border",
        prompt("border(affine | color) | normalize", **ADAM),
        rates(0.01),
    ),
    Method("generator", prompt("normalize | generator({features})", **ADAM), rates(1e-2)),
    Method("4 clusters", prompt("normalize | cluster(pad({pad}), 4)"), rates(13.0)),
    Method(
        "ensemble of 3",
        prompt("normalize | ensemble(pad({pad}), 3)"),
        rates(13.0),
        passes=3.0,
    ),
    Method(
        "residual head",
        {"tune": ("head",), "head.name": "residual", **ADAM},  # begins with no residual
        rates(1e-2),
        costly=True,
        passes=0.5,
    ),
    Method("LP", {"tune": ("head",), "head.name": "linear"}, [{}], costly=True, passes=0.1),
    Method(
        "padding and LP",
        prompt(PAD, **LINEAR, **{HEAD_RATE: 0.1}),
        rates(3.0, name=PROMPT_RATE),
        costly=True,
    ),
    Method(
        "FT",
        {"tune": ("backbone", "head"), "head.name": "linear", **ADAM},
        rates(1e-4),
        costly=True,
        passes=1.5,
    ),
    Method(
        "recipe",
        prompt(FULL, **FAST),
        rates(1e-2, name=PROMPT_RATE),
        costly=True,
    ),
)


def trials(seeds: Sequence[int]) -> list[Trial]:
    """All cells of the table."""
    return list(cells(METHODS, seeds))


def cells(methods: Sequence[Method], seeds: Sequence[int]) -> Iterator[Trial]:
    """Every method on every pair, but for those that are not `costly` on costly pairs."""
    for pair in PAIRS:
        for method in methods:
            if method.costly or not pair.costly:
                yield Trial(
                    column=pair.name,
                    row=method.name,
                    settings={**SHARED, **located(pair.settings), **_sized(method.settings, pair)},
                    choices=_scaled(method, pair),
                    seeds=seeds,
                    images=pair.updates * BATCH,
                    passes=method.passes,
                )


def _sized(settings: dict[str, Any], pair: Pair) -> dict[str, Any]:
    sides = {"pad": round(30 / 224 * pair.side), "inner": round(164 / 224 * pair.side)}
    sizes = {**sides, "features": pair.features}
    own = {"prompt": settings["prompt"].format(**sizes)} if "prompt" in settings else {}
    return {"epochs": pair.epochs, **settings, **own}


def _scaled(method: Method, pair: Pair) -> Sequence[dict[str, Any]]:
    if not UNIT.items() <= method.settings.items():
        return method.choices
    return [{name: rate * pair.side / 32 for name, rate in own.items()} for own in method.choices]
