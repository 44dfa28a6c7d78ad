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

import functools
import json
import pathlib
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import counted
import measure
import numpy as np
import problem as problem_lib
from absl import app, flags
from problem import FirstStep, Problem

from vp_jax.host_memory import keep_freed_memory
from vp_jax.report import table

PAPER, TORCH, VP_JAX = "paper's procedure, PyTorch", "PyTorch, frozen, cached", "vp_jax"
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.2}  # relative, of first losses and gradient norms
TINY = ("clip_tiny", "resnet20_cifar")


class Variant(NamedTuple):
    """One way to make a training step.

    Attributes:
      name: what it is.
      dtype: that it computes in.
      flops: floating-point operations of a step.
      make: the step, after its first call, and what that found.
    """

    name: str
    dtype: str
    flops: int
    make: Callable[[], tuple[Callable[[], object], FirstStep]]

    @property
    def label(self) -> str:
        """Name and dtype."""
        return f"{self.name}, {self.dtype}"


class Measured(NamedTuple):
    """A variant and the seconds of its step in every round."""

    variant: Variant
    seconds: Sequence[float]


def variants(
    make: Callable[[str], Problem], dtypes: Sequence[str], with_torch: bool
) -> Iterator[Variant]:
    """All ways to make a step; those of PyTorch first.

    Args:
      make: the problem whose backbone computes in a dtype.
      dtypes: in which the backbone is to compute; the paper's procedure in float32 only.
      with_torch: whether PyTorch is there.
    """
    if with_torch:
        import torch_steps

        given = make("float32")
        flops_of_torch = functools.partial(
            counted.torch_step_flops, given.backbone.name, given.batch, given.classes
        )
        paper = functools.partial(torch_steps.make_step, given, as_the_paper=True)
        yield Variant(PAPER, "float32", flops_of_torch(as_the_paper=True), paper)
        for dtype in dtypes:
            frozen = functools.partial(torch_steps.make_step, given, dtype=dtype)
            yield Variant(TORCH, dtype, flops_of_torch(as_the_paper=False), frozen)
    for dtype in dtypes:
        given = make(dtype)
        flops = counted.image_flops(given.backbone.name, given.classes).times(given.batch).step
        yield Variant(VP_JAX, dtype, flops, functools.partial(problem_lib.make_step, given))


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


def run(
    model: str, batch: int, classes: int, pad: int | None, dtypes: Sequence[str], rounds: int
) -> dict[str, Any]:
    """Measures and prints one model; returns all numbers."""
    reason = measure.missing_torch("transformers", "timm")
    params = None
    if reason is None:
        import torch_steps

        params = torch_steps.reference_params(model)
    make = functools.cache(
        lambda dtype: problem_lib.make_problem(
            model, batch, classes, pad, params=params, dtype=dtype
        )
    )
    peak = measure.Peak(dtypes)
    every = list(variants(make, dtypes, reason is None))
    steps, first = zip(*(variant.make() for variant in every), strict=True)
    compare(list(zip(every, first, strict=True)))
    losses = ", ".join(f"{found.loss:.4f}" for found in first)
    print(f"\n{model}: losses of the first steps {losses}", flush=True)
    steps = {variant.label: step for variant, step in zip(every, steps, strict=True)}
    times = measure.in_turns({**steps, "peak": peak.measure}, rounds)
    results = [Measured(variant, times[variant.label]) for variant in every]
    print(f"{peak}\n\n{report(results, peak.of, batch)}", flush=True)
    return {
        "seconds": {label: times[label] for label in steps},
        "flops": {variant.label: variant.flops for variant in every},
        "peak": {dtype: peak.of(dtype) for dtype in dtypes},
    }


def main(argv: Sequence[str]) -> None:
    """Measures all models."""
    del argv
    values = flags.FLAGS
    kept = values.keep_memory and keep_freed_memory()
    batch, rounds, pad = values.batch, values.rounds, values.pad
    models, classes = values.models, values.classes
    if values.tiny:
        models, batch, classes, rounds, pad = TINY, 4, 5, 2, None
    print(f"batch {batch}, {classes} classes, {rounds} rounds; {measure.machine()}", flush=True)
    if kept:
        print("Freed memory is kept, as the command lines of vp_jax do on CPUs; for all variants.")
    measure.warn_if_busy()
    if reason := measure.missing_torch("transformers", "timm"):
        print(f"Without PyTorch ({reason}): vp_jax and the peak only.")
    found = {m: run(m, batch, classes, pad, values.dtypes, rounds) for m in models}
    if values.json:
        settings = {"batch": batch, "classes": classes, "machine": measure.machine()}
        path = pathlib.Path(values.json)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**settings, "models": found}, indent=2) + "\n")


if __name__ == "__main__":
    flags.DEFINE_list("models", ["clip_vit_b32", "clip_vit_b16", "resnet50"], "one after the other")
    flags.DEFINE_list("dtypes", ["float32"], "of float32, bfloat16: that backbones compute in")
    flags.DEFINE_integer("batch", 32, "images a step", lower_bound=1)
    flags.DEFINE_integer("classes", 100, "classes; of a CLIP, each with one text", lower_bound=1)
    flags.DEFINE_integer("rounds", 5, "timed steps of every variant", lower_bound=1)
    flags.DEFINE_integer("pad", None, "pixels of the padding prompt; None: 30 of 224")
    flags.DEFINE_bool("tiny", False, "small models, batch 4, 5 classes, 2 rounds: a smoke test")
    flags.DEFINE_bool("keep_memory", True, "on CPUs, as the command lines of vp_jax do")
    flags.DEFINE_string("json", None, "file for all numbers")
    app.run(main)
