"""What each kind of prompt costs: images/s of the train loop beside the paper's padding.

    python experiments/benchmarks/stages.py --models=clip_tiny
    python experiments/benchmarks/stages.py --models=clip_vit_b32 --steps=4 --rounds=2
    python experiments/benchmarks/stages.py --only=masked,ensemble

Each is trained by `runs.train` on noise images that the pipeline `auto` makes resident, in turns,
round after round; its speed is what its own `result.json` says, the first call, which compiles,
left out. *x padding* is the median of the rounds' ratios, with their range.

`ensemble` shows the model k images for one; `cluster`, `generator` and what else asks for frozen
features have computed them before. About ten minutes for clip_tiny on two idle cores.
"""

from __future__ import annotations

import contextlib
import io
import pathlib
import statistics
import tempfile
from collections.abc import Sequence

import measure
import problem as problem_lib
import whole_run
from absl import app, flags, logging
from synthetic import make_npz

from vp_jax import prompts, runs
from vp_jax.host import user_cache
from vp_jax.host.compilation_cache import keep_compiled_programs
from vp_jax.host.memory import keep_freed_memory
from vp_jax.report import table

PADDING = "normalize | pad({pad})"
PROMPTS = (
    PADDING,
    "fixed_patch({pad}) | normalize",
    "normalize | random_patch({pad})",
    "normalize | full(init='zeros')",
    "low_rank(4) | normalize",
    "frame({pad}) | normalize",
    "color | normalize",
    "affine | normalize",
    "border(affine | color) | normalize",
    "border(resize, bounded=True) | normalize",
    "conv(3) | normalize",
    "fourier | normalize",
    "pad({pad}, init='zeros') | blur(1.0) | normalize",
    "pad({pad}, init='zeros') | clip | quantize | normalize",
    "within(full(init='zeros'), 8) | normalize",
    "normalize | masked(full(init='zeros'))",
    "generator({features}) | clip | normalize",
    "normalize | cluster(pad({pad}), 4)",
    "normalize | ensemble(pad({pad}), 3)",
    "class_wise(pad({pad}, init='zeros'), {classes}) | normalize",
)


class Kinds:
    """Runs of one model with every kind of prompt, in a folder.

    Args:
      model: a name of `backbones.names()`.
      batch: images a step.
      classes: downstream.
      steps: of a run.
      folder: of the images and the runs.
      only: parts of the prompts' texts; padding is always there. Empty: all.
    """

    def __init__(
        self,
        model: str,
        batch: int,
        classes: int,
        steps: int,
        folder: pathlib.Path,
        only: Sequence[str] = (),
    ):
        problem = problem_lib.make_problem(model, batch, classes)
        side, features = problem.backbone.image_size, problem.backbone.embed_dim
        sizes = {"pad": problem.pad, "features": features, "classes": classes}
        chosen = [t for t in PROMPTS[1:] if any(part in t for part in only or [""])]
        self.texts = [text.format(**sizes) for text in (PADDING, *chosen)]
        self._backbone = whole_run.with_tokens(problem)
        images = make_npz(folder / "noise.npz", steps * batch, batch, classes, side)
        self._config = whole_run.settings(problem, images)
        self._folder = folder

    def train(self, text: str, name: str) -> tuple[float, int]:
        """Images/s of a run with this prompt, and the numbers that it trained."""
        config = self._config.copy_and_resolve_references()
        config.prompt = text
        with contextlib.redirect_stderr(io.StringIO()):
            result = runs.train(config, self._folder / name, self._backbone)
        return result["images_per_second"], result["trainable_parameters"]


def compare(kinds: Kinds, rounds: int) -> list[tuple[str, ...]]:
    """Rows of the table of one model; the first is padding's."""
    speeds: dict[str, list[float]] = {text: [] for text in kinds.texts}
    sizes: dict[str, int] = {}
    for number in range(rounds):
        for place, text in enumerate(kinds.texts):
            speed, sizes[text] = kinds.train(text, f"{number}_{place}")
            speeds[text].append(speed)
    base, rows = speeds[kinds.texts[0]], []
    for text, own in speeds.items():
        ratio = measure.ratio([1 / x for x in base], [1 / x for x in own])
        short = str(prompts.parse(text)).removesuffix(" | normalize")
        rows.append((short, f"{sizes[text]:,}", f"{statistics.median(own):,.1f}", ratio))
    return rows


def main(argv: Sequence[str]) -> None:
    """Prints a table a model."""
    del argv
    keep_freed_memory()
    keep_compiled_programs(user_cache.find("programs"))
    logging.set_verbosity(logging.ERROR)
    measure.warn_if_busy()
    values = flags.FLAGS
    if unknown := [part for part in values.only if not any(part in text for text in PROMPTS)]:
        raise app.UsageError(f"--only: {unknown[0]!r} is in none of {'; '.join(PROMPTS)}")
    for model in values.models:
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            kinds = Kinds(model, values.batch, values.classes, values.steps, folder, values.only)
            rows = compare(kinds, values.rounds)
        print(f"\n{model}, batch {values.batch}, {values.rounds} rounds; {measure.machine()}\n")
        print(table(rows, ("prompt", "parameters", "images/s", "x padding (range)")), flush=True)


if __name__ == "__main__":
    flags.DEFINE_list("models", ["clip_tiny", "clip_vit_b32"], "one after the other")
    flags.DEFINE_list("only", [], "parts of the prompts that are measured; all, if there are none")
    flags.DEFINE_integer("batch", 32, "images a step", lower_bound=1)
    flags.DEFINE_integer("classes", 10, "downstream", lower_bound=2)
    flags.DEFINE_integer("steps", 80, "of a run", lower_bound=2)
    flags.DEFINE_integer("rounds", 3, "in which all take turns", lower_bound=1)
    app.run(main)
