"""How fast a training step is: this library beside PyTorch, in one run on one machine.

    python experiments/benchmarks/step.py --models=clip_vit_b32,clip_vit_b16,resnet50

For each model these take turns, round after round, with the same random weights, images and prompt:

  paper's procedure, PyTorch: that of Bahng et al. 2022 (arXiv 2203.17274) re-created from its
    description. The backbone is not frozen, so the gradients of all its weights are computed and
    accumulated; of a CLIP, the text tower encodes every class at every step.
  PyTorch, frozen, cached: the same with the backbone frozen and the text features computed once.
  vp_jax: the jitted train step of this library, from uint8 images to the updated prompt.
  peak: matrix products of NumPy, JAX and PyTorch; the best of all is the machine's peak.

The last two of them in every one of `--dtypes`, and *of peak* is of the same dtype's peak.

Every variant runs in a process of its own, as its users run it: vp_jax keeps freed memory, as its
command lines do on CPUs; PyTorch, whose scripts do not, does so with `--keep_torch_memory`.

The PyTorch models are transformers' CLIPModel and timm's classifiers. Their images are normalised
beforehand, those of vp_jax within the step. Before anything is timed, the losses and the gradients
of the first step of all are compared. Without torch, transformers and timm only vp_jax and the peak
run.

Counted are matrix products and convolutions (`vp_jax/backbones/flops.py`); of vp_jax those that are
needed, the last block of a transformer for the class token alone.

Takes about 40 seconds a round on two idle cores for ViT-B/32 in float32; a busy machine spoils it,
and PyTorch's threads suffer more than JAX's from that. Compare numbers of one run only.
"""

from __future__ import annotations

import contextlib
import functools
import json
import pathlib
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import counted
import measure
import numpy as np
import problem as problem_lib
from absl import app, flags
from apart import Apart
from problem import FirstStep

from vp_jax.host_memory import keep_freed_memory
from vp_jax.report import table

PAPER, TORCH, VP_JAX = "paper's procedure, PyTorch", "PyTorch, frozen, cached", "vp_jax"
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.2}  # relative, of first losses and gradient norms
TINY = ("clip_tiny", "resnet20_cifar")


class Settings(NamedTuple):
    """Of the problem that every variant trains on, as `problem.make_problem` takes them."""

    model: str
    batch: int
    classes: int
    pad: int | None


class Variant(NamedTuple):
    """One way to make a training step.

    Attributes:
      name: what it is.
      dtype: that it computes in.
      flops: floating-point operations of a step.
      make: the step, after its first call, and what that found; called in a process of its own.
      keeps_memory: whether that process keeps freed memory.
    """

    name: str
    dtype: str
    flops: int
    make: Callable[[], tuple[Callable[[], object], FirstStep]]
    keeps_memory: bool

    @property
    def label(self) -> str:
        """Name and dtype."""
        return f"{self.name}, {self.dtype}"


class Measured(NamedTuple):
    """A variant and the seconds of its step in every round."""

    variant: Variant
    seconds: Sequence[float]


def make_torch(settings: Settings, **options: Any) -> tuple[Callable[[], object], FirstStep]:
    """PyTorch's step, with the options of `torch_steps.build`."""
    import torch_steps

    return torch_steps.make_step(problem_lib.make_problem(*settings), **options)


def make_ours(
    settings: Settings, dtype: str, params: Mapping[str, Any] | None
) -> tuple[Callable[[], object], FirstStep]:
    """This library's step, with PyTorch's weights where there are any."""
    return problem_lib.make_step(problem_lib.make_problem(*settings, params=params, dtype=dtype))


def variants(
    settings: Settings, dtypes: Sequence[str], with_torch: bool, keep: bool, keep_torch: bool
) -> Iterator[Variant]:
    """All ways to make a step; those of PyTorch first.

    Args:
      settings: of the problem.
      dtypes: in which the backbone is to compute; the paper's procedure in float32 only.
      with_torch: whether PyTorch is there.
      keep: whether vp_jax keeps freed memory.
      keep_torch: whether PyTorch does.
    """
    model, batch, classes, _ = settings
    params = None
    if with_torch:
        import torch_steps

        params = torch_steps.reference_params(model)
        flops_of_torch = functools.partial(counted.torch_step_flops, model, batch, classes)
        paper = functools.partial(make_torch, settings, as_the_paper=True)
        yield Variant(PAPER, "float32", flops_of_torch(as_the_paper=True), paper, keep_torch)
        for dtype in dtypes:
            frozen = functools.partial(make_torch, settings, dtype=dtype)
            yield Variant(TORCH, dtype, flops_of_torch(as_the_paper=False), frozen, keep_torch)
    flops = counted.image_flops(model, classes).times(batch).step
    for dtype in dtypes:
        make = functools.partial(make_ours, settings, dtype, params)
        yield Variant(VP_JAX, dtype, flops, make, keep)


def compare(found: Sequence[tuple[Variant, FirstStep]]) -> None:
    """Refuses variants whose first step found something else than the first one of vp_jax."""
    ours, right = next((v, first) for v, first in found if v.name == VP_JAX)
    for variant, first in found:
        tolerance = max(TOLERANCE[variant.dtype], TOLERANCE[ours.dtype])
        if not np.allclose(first, right, rtol=tolerance):
            raise RuntimeError(f"{variant.label} found {first}, vp_jax {right}: not the same step")


def report(results: Sequence[Measured], peak: Callable[[str], float], batch: int) -> str:
    """The table: medians over the rounds, and every ratio with its range over the rounds."""
    times = {result.variant.label: result.seconds for result in results}

    def against(base: str, label: str) -> str | None:
        if base not in times or base == label:
            return None
        return measure.ratio(times[base], times[label])

    rows = []
    for variant, seconds in results:
        middle = statistics.median(seconds)
        rows.append(
            (
                variant.name,
                variant.dtype,
                *measure.speed(batch / middle, variant.flops / batch, peak(variant.dtype)),
                f"{middle:.3f}",
                f"{min(seconds):.3f}",
                f"{variant.flops / 1e9:,.1f}",
                against(f"{PAPER}, float32", variant.label),
                against(f"{TORCH}, float32", variant.label),
            )
        )
    headers = ("s/step", "best s", "GFLOP", "x paper (range)", "x torch (range)")
    return table(rows, ("variant", "dtype", *measure.SPEED, *headers))


def run(ways: Sequence[Variant], settings: Settings, rounds: int) -> dict[str, Any]:
    """Measures and prints one model; returns all numbers."""
    peak = measure.Peak(list(dict.fromkeys(way.dtype for way in ways)))
    with contextlib.ExitStack() as stack:
        steps = {
            way.label: stack.enter_context(contextlib.closing(Apart(way.make, way.keeps_memory)))
            for way in ways
        }
        compare([(way, steps[way.label].first) for way in ways])
        losses = ", ".join(f"{step.first.loss:.4f}" for step in steps.values())
        print(f"\n{settings.model}: losses of the first steps {losses}", flush=True)
        times = measure.in_turns({**steps, "peak": peak.measure}, rounds)
    results = [Measured(way, times[way.label]) for way in ways]
    print(f"{peak}\n\n{report(results, peak.of, settings.batch)}", flush=True)
    return {
        "seconds": {label: times[label] for label in steps},
        "flops": {way.label: way.flops for way in ways},
        "peak": peak.rounds,
    }


def main(argv: Sequence[str]) -> None:
    """Measures all models."""
    del argv
    values = flags.FLAGS
    keep_freed_memory()  # of the peak's products
    batch, rounds, pad = values.batch, values.rounds, values.pad
    models, classes = values.models, values.classes
    if values.tiny:
        models, batch, classes, rounds, pad = TINY, 4, 5, 2, None
    print(f"batch {batch}, {classes} classes, {rounds} rounds; {measure.machine()}", flush=True)
    keep = values.keep_memory, values.keep_torch_memory
    says = ["keeps" if kept else "returns" for kept in keep]
    print(f"vp_jax {says[0]} freed memory, PyTorch {says[1]} it")
    measure.warn_if_busy()
    reason = measure.missing_torch("transformers", "timm")
    if reason:
        print(f"Without PyTorch ({reason}): vp_jax and the peak only.")
    found = {}
    for model in models:
        settings = Settings(model, batch, classes, pad)
        ways = list(variants(settings, values.dtypes, reason is None, *keep))
        found[model] = run(ways, settings, rounds)
    if values.json:
        facts = {"batch": batch, "classes": classes, "machine": measure.machine()}
        path = pathlib.Path(values.json)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**facts, "models": found}, indent=2) + "\n")


if __name__ == "__main__":
    flags.DEFINE_list("models", ["clip_vit_b32", "clip_vit_b16", "resnet50"], "one after the other")
    flags.DEFINE_list("dtypes", ["float32"], "of float32, bfloat16: that backbones compute in")
    flags.DEFINE_integer("batch", 32, "images a step", lower_bound=1)
    flags.DEFINE_integer("classes", 100, "classes; of a CLIP, each with one text", lower_bound=1)
    flags.DEFINE_integer("rounds", 5, "timed steps of every variant", lower_bound=1)
    flags.DEFINE_integer("pad", None, "pixels of the padding prompt; None: 30 of 224")
    flags.DEFINE_bool("tiny", False, "small models, batch 4, 5 classes, 2 rounds: a smoke test")
    flags.DEFINE_bool("keep_memory", True, "in vp_jax, as its command lines do on CPUs")
    flags.DEFINE_bool("keep_torch_memory", False, "in PyTorch, likewise")
    flags.DEFINE_string("json", None, "file for all numbers")
    app.run(main)
