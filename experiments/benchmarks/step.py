"""How fast training is, step by step and as users run it: this library beside PyTorch, in one run.

    python experiments/benchmarks/step.py
    python experiments/benchmarks/step.py --models=clip_vit_b16 --batch=16 --rounds=3

For each model these take turns, round after round, with the same random weights, prompt and texts:

  paper's procedure, PyTorch: that of Bahng et al. 2022 (arXiv 2203.17274) re-created from its
    description. The backbone is not frozen, so the gradients of all its weights are computed and
    accumulated; of a CLIP, the text tower encodes every class at every step. `--nopaper` leaves it
    out.
  PyTorch, frozen, cached: the same with the backbone frozen and the text features computed once.
  vp_jax, step: the jitted train step of this library, from uint8 images to the updated prompt.
  vp_jax, runs.train: a whole run on a file of images, which the pipeline `auto` makes resident; its
    speed is what its own `result.json` says.
  PyTorch, no gradients: the forward pass of the evaluation, on a batch that is there already.
  vp_jax, evaluation: a pass of the run's own evaluation over its training split.
  peak: matrix products of NumPy, JAX and PyTorch; the best of all is the machine's peak.

All but the first of them in every one of `--dtypes`, and *of peak* is of the same dtype's peak.

Every variant runs in a process of its own, as its users run it: vp_jax keeps freed memory, as its
command lines do on CPUs; PyTorch, whose scripts do not, does so with `--keep_torch_memory`.

The PyTorch models are transformers' CLIPModel and timm's classifiers. Their images are normalised
beforehand, those of vp_jax within the step. Before anything is timed, the losses and the gradients
of the first step of all are compared. Without torch, transformers and timm only vp_jax and the peak
run. Of a classifier there are no more `--classes` than it has.

Counted are matrix products and convolutions (`vp_jax/backbones/flops.py`); of vp_jax those that are
needed, the last block of a transformer for the class token alone.

Takes about a quarter of an hour on two idle cores; a busy machine spoils it, and PyTorch's threads
suffer more than JAX's from that. Compare numbers of one run only.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import pathlib
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import counted
import measure
import numpy as np
import problem as problem_lib
import whole_run
from absl import app, flags
from apart import Apart
from problem import FirstStep

from vp_jax.host.compilation_cache import keep_compiled_programs
from vp_jax.host.memory import keep_freed_memory
from vp_jax.report import table

PAPER, TORCH, VP_JAX = "paper's procedure, PyTorch", "PyTorch, frozen, cached", "vp_jax, step"
RUN = "vp_jax, runs.train"
TORCH_FORWARD, EVALUATION = "PyTorch, no gradients", "vp_jax, evaluation"
TRAINING, EVALUATING = (PAPER, TORCH, VP_JAX, RUN), (TORCH_FORWARD, EVALUATION)
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.2}  # relative, of first losses and gradient norms
MODELS = ("resnet20_cifar", "resnet50", "clip_tiny", "deit_ti16", "clip_vit_b32")
TINY = ("clip_tiny", "resnet20_cifar")
LEAST_STEPS = 4  # of a whole run, of which the first is not timed

Call = Callable[[str], float]
"""From `"train"` or `"evaluate"` to images/s."""


class Settings(NamedTuple):
    """Of the problem that every variant trains on, as `problem.make_problem` takes them."""

    model: str
    batch: int
    classes: int
    pad: int | None


class Variant(NamedTuple):
    """One way to train or to evaluate.

    Attributes:
      name: what it is.
      dtype: that it computes in.
      flops: floating-point operations an image.
    """

    name: str
    dtype: str
    flops: float

    @property
    def label(self) -> str:
        """Name and dtype."""
        return f"{self.name}, {self.dtype}"

    @property
    def what(self) -> str:
        """What its process is told to do."""
        return "evaluate" if self.name in EVALUATING else "train"


class Measured(NamedTuple):
    """A variant and its images/s in every round."""

    variant: Variant
    rates: Sequence[float]


class Work(NamedTuple):
    """How long turns are, and what takes part.

    Attributes:
      rounds: in which all variants take turns.
      seconds: that a turn takes at least.
      dtypes: in which the backbone is to compute; the paper's procedure in float32 only.
      with_torch: whether PyTorch is there.
      with_paper: whether the paper's procedure takes part.
      keep, keep_torch: whether vp_jax and PyTorch keep freed memory.
    """

    rounds: int
    seconds: float
    dtypes: Sequence[str]
    with_torch: bool
    with_paper: bool
    keep: bool
    keep_torch: bool


def make_torch(settings: Settings, seconds: float, **options: Any) -> tuple[Call, FirstStep]:
    """PyTorch's steps and forward passes, with the options of `torch_steps.build`."""
    import torch_steps

    built, first = torch_steps.make_step(problem_lib.make_problem(*settings), **options)
    actions = {"train": built.step, "evaluate": built.evaluate}
    return lambda what: measure.rate(actions[what], settings.batch, seconds), first


def make_ours(
    settings: Settings, seconds: float, dtype: str, params: Mapping[str, Any] | None
) -> tuple[Call, FirstStep]:
    """This library's steps, with PyTorch's weights where there are any."""
    problem = problem_lib.make_problem(*settings, params=params, dtype=dtype)
    step, first = problem_lib.make_step(problem)
    return lambda _: measure.rate(step, settings.batch, seconds), first


def make_runs(
    settings: Settings, steps: int, dtype: str, params: Mapping[str, Any] | None
) -> tuple[Call, None]:
    """Its whole runs of so many steps, and evaluations, with the same weights."""
    problem = problem_lib.make_problem(*settings, params=params, dtype=dtype)
    return whole_run.make(problem, steps), None


class Contest:
    """All variants of one model, in processes that wait for their turns.

    Attributes:
      variants: in the order of their turns.
      actions: of each, by label: returns its images/s.
      first: what the first steps found.
    """

    def __init__(self, settings: Settings, work: Work, stack: contextlib.ExitStack):
        """Starts the processes, which end with the stack."""
        self.variants: list[Variant] = []
        self.actions: dict[str, Callable[[], float]] = {}
        self.first: list[tuple[Variant, FirstStep]] = []
        self._stack = stack
        params, (model, batch, classes, _) = None, settings
        if work.with_torch:
            import torch_steps

            params = torch_steps.reference_params(model)
            flops_of = functools.partial(counted.torch_step_flops, model, batch, classes)
            make = functools.partial(make_torch, settings, work.seconds)
            if work.with_paper:
                paper = Variant(PAPER, "float32", flops_of(as_the_paper=True) / batch)
                self._start(functools.partial(make, as_the_paper=True), work.keep_torch, paper)
            forward = counted.torch_image_flops(model, classes).forward
            for dtype in work.dtypes:
                self._start(
                    functools.partial(make, dtype=dtype),
                    work.keep_torch,
                    Variant(TORCH, dtype, flops_of(as_the_paper=False) / batch),
                    Variant(TORCH_FORWARD, dtype, forward),
                )
        flops = counted.image_flops(model, classes)
        for dtype in work.dtypes:
            step = Variant(VP_JAX, dtype, flops.step)
            make = functools.partial(make_ours, settings, work.seconds, dtype, params)
            self._start(make, work.keep, step)
            steps = math.ceil(work.seconds * self.actions[step.label]() / batch)
            self._start(
                functools.partial(make_runs, settings, LEAST_STEPS + steps, dtype, params),
                work.keep,
                Variant(RUN, dtype, flops.step),
                Variant(EVALUATION, dtype, flops.forward),
            )
        order = TRAINING + EVALUATING
        self.variants.sort(key=lambda variant: order.index(variant.name))

    def _start(
        self,
        make: Callable[[], tuple[Call, FirstStep | None]],
        keeps_memory: bool,
        *variants: Variant,
    ) -> None:
        """Starts a process whose first step, if it makes one, is that of its first variant."""
        process = self._stack.enter_context(contextlib.closing(Apart(make, keeps_memory)))
        if process.first is not None:
            self.first.append((variants[0], process.first))
        for variant in variants:
            self.variants.append(variant)
            self.actions[variant.label] = functools.partial(process, variant.what)


def compare(found: Sequence[tuple[Variant, FirstStep]]) -> None:
    """Refuses variants whose first step found something else than the first one of vp_jax."""
    ours, right = next((v, first) for v, first in found if v.name == VP_JAX)
    for variant, first in found:
        tolerance = max(TOLERANCE[variant.dtype], TOLERANCE[ours.dtype])
        if not np.allclose(first, right, rtol=tolerance):
            raise RuntimeError(f"{variant.label} found {first}, vp_jax {right}: not the same step")


def report(results: Sequence[Measured], peak: Callable[[str], float], batch: int) -> str:
    """The table: medians over the rounds, and every ratio with its range over the rounds.

    Ratios to PyTorch are of training to its training, of evaluation to its evaluation; those of a
    whole run are to the bare step of the same dtype besides.
    """
    rates = {result.variant.label: result.rates for result in results}

    def against(base: str, label: str) -> str | None:
        if base not in rates or base == label:
            return None
        return measure.ratio([1 / r for r in rates[base]], [1 / r for r in rates[label]])

    rows = []
    for (name, dtype, flops), found in results:
        label, middle = f"{name}, {dtype}", statistics.median(found)
        torch = TORCH_FORWARD if name in EVALUATING else TORCH
        rows.append(
            (
                name,
                dtype,
                *measure.speed(middle, flops, peak(dtype)),
                f"{max(found):,.2f}",
                f"{batch / middle:.3f}",
                f"{batch * flops / 1e9:,.1f}",
                None if name in EVALUATING else against(f"{PAPER}, float32", label),
                against(f"{torch}, float32", label),
                against(f"{VP_JAX}, {dtype}", label) if name == RUN else None,
            )
        )
    headers = ("best", "s/batch", "GFLOP", "x paper (range)", "x torch (range)", "x step (range)")
    return table(rows, ("variant", "dtype", *measure.SPEED, *headers))


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Measures and prints one model; returns all numbers."""
    peak = measure.Peak(work.dtypes)
    with contextlib.ExitStack() as stack:
        contest = Contest(settings, work, stack)
        compare(contest.first)
        losses = ", ".join(f"{first.loss:.4f}" for _, first in contest.first)
        print(f"\n{settings.model}: losses of the first steps {losses}", flush=True)
        results = [Measured(variant, []) for variant in contest.variants]
        for _ in range(work.rounds):
            for variant, rates in results:
                rates.append(contest.actions[variant.label]())
            peak.measure()
    print(f"{peak}\n\n{report(results, peak.of, settings.batch)}", flush=True)
    return {
        "classes": settings.classes,
        "images_per_second": {variant.label: rates for variant, rates in results},
        "flops": {variant.label: variant.flops for variant, _ in results},
        "peak": peak.rounds,
    }


def main(argv: Sequence[str]) -> None:
    """Measures all models."""
    del argv
    values = flags.FLAGS
    keep_freed_memory()  # of the peak's products
    batch, rounds, seconds, pad = values.batch, values.rounds, values.seconds, values.pad
    models, classes = values.models, values.classes
    if values.tiny:
        models, batch, classes, rounds, seconds, pad = TINY, 4, 5, 2, 0.0, None
    print(f"batch {batch}, {classes} classes, {rounds} rounds; {measure.machine()}", flush=True)
    keep = values.keep_memory, values.keep_torch_memory
    says = ["keeps" if kept else "returns" for kept in keep]
    print(f"vp_jax {says[0]} freed memory, PyTorch {says[1]} it")
    measure.warn_if_busy()
    reason = measure.missing_torch("transformers", "timm")
    if reason:
        print(f"Without PyTorch ({reason}): vp_jax and the peak only.")
    work = Work(rounds, seconds, values.dtypes, reason is None, values.paper, *keep)
    found = {}
    with tempfile.TemporaryDirectory() as programs:
        keep_compiled_programs(programs)  # of the processes: a run of the same finds them there
        for model in models:
            settings = Settings(model, batch, counted.most_classes(model, classes), pad)
            found[model] = run(settings, work)
    if values.json:
        facts = {"batch": batch, "machine": measure.machine()}
        path = pathlib.Path(values.json)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**facts, "models": found}, indent=2) + "\n")


if __name__ == "__main__":
    flags.DEFINE_list("models", list(MODELS), "one after the other")
    flags.DEFINE_list("dtypes", ["float32"], "of float32, bfloat16: that backbones compute in")
    flags.DEFINE_integer("batch", 32, "images a step", lower_bound=1)
    flags.DEFINE_integer("classes", 100, "classes; of a CLIP, each with one text", lower_bound=1)
    flags.DEFINE_integer("rounds", 5, "in which all variants take turns", lower_bound=1)
    flags.DEFINE_float("seconds", 2.0, "of a turn, at least: it has a step or more, a run four")
    flags.DEFINE_bool("paper", True, "the paper's procedure takes part")
    flags.DEFINE_integer("pad", None, "pixels of the padding prompt; None: 30 of 224")
    flags.DEFINE_bool("tiny", False, "small models, batch 4, 5 classes, 2 rounds: a smoke test")
    flags.DEFINE_bool("keep_memory", True, "in vp_jax, as its command lines do on CPUs")
    flags.DEFINE_bool("keep_torch_memory", False, "in PyTorch, likewise")
    flags.DEFINE_string("json", None, "file for all numbers")
    app.run(main)
