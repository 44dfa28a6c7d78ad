"""How fast a GPU or TPU trains a prompt, beside PyTorch on the same card in the same run.

    python experiments/benchmarks/accelerator.py
    python experiments/benchmarks/accelerator.py --tiny

For each model, in bfloat16, two ways to train, one after the other and each in a process of its
own, since both libraries claim the card's memory:

  vp_jax: as the train loop does, many steps inside one program, on resident uint8 images of 32 x 32
    that are resized within it.
  PyTorch: the backbone frozen, the texts cached, compiled by `torch.compile`, weights in bfloat16,
    ResNets with the channels last, on one batch that is on the card, normalised and in full size.
    Where torch does not see the card it is left out.

Batches are doubled until memory ends or a doubling brings less than 2 %, and the fastest counts:
the median of `--rounds` measurements of a second or more. *of peak* is the share of the card's
bfloat16 matrix product peak, the best of the products of both libraries. Counted are matrix
products and convolutions (`vp_jax/backbones/flops.py`), for PyTorch's ViTs with the whole last
block. `--tiny` runs all of it at a tiny size, on a CPU too, PyTorch uncompiled.
"""

from __future__ import annotations

import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import counted
import jax
import measure
import problem as problem_lib
from absl import app, flags, logging
from synthetic import make_npz

from vp_jax import data
from vp_jax.data.images.preprocess import ResizeRule
from vp_jax.report import table
from vp_jax.step.sharding import make_mesh, put, replicated
from vp_jax.training.advance import Pace, make_advance
from vp_jax.training.feed import make_feed

OURS, TORCH = "vp_jax", "PyTorch"
DTYPE = "bfloat16"
GAIN = 1.02  # in images/s, for which a batch is worth doubling
TORCH_STEPS = 10  # between two waits for the device
ENDLESS = 10**9  # steps
NO_MEMORY = ("RESOURCE_EXHAUSTED", "out of memory")  # in the messages of JAX and PyTorch


class Scale(NamedTuple):
    """How large a measurement is.

    Attributes:
      models: names.
      batch: the first.
      largest: batch.
      images: resident; a multiple of all batches.
      seconds: of a measurement, and of each product of the peak, at least.
      classes: downstream.
      sides: of the matrices of the peak.
    """

    models: tuple[str, ...]
    batch: int
    largest: int
    images: int
    seconds: float
    classes: int
    sides: tuple[int, ...]


MODELS = ("clip_vit_b32", "clip_vit_b16", "clip_vit_l14", "resnet50")
FULL = Scale(MODELS, 64, 8192, 16384, 1.0, 100, measure.ACCELERATOR_SIDES)
TINY = Scale(("clip_tiny", "resnet20_cifar"), 4, 8, 32, 0.05, 5, (256,))


class Found(NamedTuple):
    """The fastest batch of one way to train a model.

    Attributes:
      batch: images a step.
      rate: images/s.
      flops: of a step, an image.
      end: what ended the search: speed, memory or the largest batch.
      peak: of the library's matrix products, floating-point operations a second.
      product: which product had it.
      machine: that measured it.
    """

    batch: int
    rate: float
    flops: float
    end: str
    peak: float
    product: str
    machine: str


class Way(NamedTuple):
    """One way to train with one batch size.

    Attributes:
      train: trains for a while, waits for the device and returns the number of images.
      flops: of a step, an image.
    """

    train: Callable[[], int]
    flops: float


def way_of_vp_jax(model: str, batch: int, classes: int, path: pathlib.Path) -> Way:
    """This library's way: an epoch over the images of the file at every call."""
    problem = problem_lib.make_problem(model, 1, classes, dtype=DTYPE)  # its image is not used
    training, backbone = problem_lib.make_training(problem), problem.backbone
    rule = ResizeRule(backbone.image_size, backbone.resize_size, backbone.resize_method)
    task = data.load_task("npz", resize=rule, data_dir=path, pipeline="resident")
    mesh = make_mesh()
    feed, steps = make_feed(task, batch, 0, mesh), data.steps_per_epoch(len(task.train), batch)
    pace = Pace(steps, ENDLESS)
    advance = make_advance(training.step, feed, [task.train], pace, ENDLESS, mesh)
    frozen, state = put((training.frozen, training.state()), replicated(mesh))
    done = 0

    def train() -> int:
        nonlocal state, done
        state, _, _ = jax.block_until_ready(advance(state, frozen, done, done + steps))
        done += steps
        return len(task.train)

    return Way(train, counted.image_flops(model, classes).step)


def way_of_torch(model: str, batch: int, classes: int, compiled: bool) -> Way:
    """PyTorch's way: some steps on one batch at every call."""
    import torch
    import torch_steps

    torch.compiler.reset()  # or a second size would be compiled for all sizes
    device = "cuda" if torch.cuda.is_available() else "cpu"
    problem = problem_lib.make_problem(model, batch, classes)
    built = torch_steps.build(problem, dtype=DTYPE, device=device, compiled=compiled)

    def train() -> int:
        for _ in range(TORCH_STEPS):
            built.step()
        if device == "cuda":
            torch.cuda.synchronize()
        return TORCH_STEPS * batch

    flops = counted.torch_step_flops(model, batch, classes, as_the_paper=False)
    return Way(train, flops / batch)


def measured(way: Way, seconds: float, rounds: int) -> tuple[float, float]:
    """Images/s, the median of some measurements of that many seconds, and operations an image."""
    way.train()  # compiles
    rates = []
    for _ in range(rounds):
        images, start = 0, time.perf_counter()
        while (taken := time.perf_counter() - start) < seconds:
            images += way.train()
        rates.append(images / taken)
    return statistics.median(rates), way.flops


def best(make: Callable[[int], Way], scale: Scale, rounds: int) -> tuple[int, float, float, str]:
    """The fastest batch: its size, images/s, operations an image, and what ended the search.

    Raises:
      RuntimeError: not even the first batch fits into memory.
    """
    found, batch, end = None, scale.batch, "largest"
    while batch <= scale.largest:
        try:
            rate, flops = measured(make(batch), scale.seconds, rounds)
        except RuntimeError as error:
            if found is None or not any(text in str(error) for text in NO_MEMORY):
                raise
            end = "memory"
            break
        if found is not None and rate < GAIN * found[1]:
            found, end = max(found, (batch, rate, flops), key=lambda x: x[1]), "speed"
            break
        found, batch = (batch, rate, flops), 2 * batch
    return *found, end


def measure_one(
    name: str, model: str, path: pathlib.Path, scale: Scale, rounds: int, compiled: bool
) -> Found:
    """In a process of its own."""
    if name == OURS:
        peak = measure.Peak((DTYPE,), scale.sides, ("JAX",), scale.seconds)
        found = best(lambda batch: way_of_vp_jax(model, batch, scale.classes, path), scale, rounds)
    else:
        peak = measure.Peak((DTYPE,), scale.sides, ("PyTorch",), scale.seconds)
        found = best(
            lambda batch: way_of_torch(model, batch, scale.classes, compiled), scale, rounds
        )
    peak.measure()
    return Found(*found, peak.of(DTYPE), str(peak), measure.machine())


def report(results: Mapping[tuple[str, str], Found]) -> str:
    """The peak and the table, of what was found by model and library."""
    fastest = max(results.values(), key=lambda found: found.peak)
    rows = []
    for (model, name), found in results.items():
        other = results.get((model, TORCH))
        ratio = None if other is None else f"{found.rate / other.rate:.2f}"
        speed = measure.speed(found.rate, found.flops, fastest.peak)
        rows.append((model, name, found.batch, *speed, ratio, found.end))
    headers = ("model", "by", "batch", *measure.SPEED, "x PyTorch", "search ended by")
    return f"{fastest.product}\n\n{table(rows, headers)}"


def why_no_torch(tiny: bool) -> str | None:
    """Why PyTorch cannot run beside, or None."""
    reason = measure.missing_torch("transformers", "timm")
    if reason is None and not tiny:
        import torch

        reason = None if torch.cuda.is_available() else "torch sees no card"
    return reason


def main(argv: Sequence[str]) -> None:
    """Starts a process for every model and way, and prints the table."""
    del argv
    logging.set_verbosity(logging.WARNING)
    values = flags.FLAGS
    scale = TINY if values.tiny else FULL
    first, largest = values.first or scale.batch, values.largest or scale.largest
    scale = scale._replace(batch=first, largest=largest)
    if values.measure:
        name, model = values.measure
        found = measure_one(
            name, model, pathlib.Path(values.file), scale, values.rounds, not values.tiny
        )
        measure.hand_back(found)
        return
    reason = why_no_torch(values.tiny)
    names = (OURS,) if reason else (OURS, TORCH)
    results = {}
    with tempfile.TemporaryDirectory() as scratch:
        path = make_npz(
            pathlib.Path(scratch) / "images.npz", scale.images, scale.classes, scale.classes
        )
        for model in values.models or scale.models:
            for name in names:
                child = (__file__, f"--measure={name},{model}", f"--file={path}")
                more = (f"--rounds={values.rounds}", f"--tiny={values.tiny}")
                more += (f"--first={scale.batch}", f"--largest={scale.largest}")
                environment = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.9"}
                if name == TORCH:  # JAX keeps off the card
                    environment["JAX_PLATFORMS"] = "cpu"
                found = measure.in_process_of_its_own((*child, *more), **environment)
                results[model, name] = Found(*found)
                print(f"{model}, {name}: {results[model, name].rate:,.0f} images/s", flush=True)
    machine = next(iter(results.values())).machine
    print(f"\n{DTYPE}, {scale.classes} classes; {machine}")
    if reason:
        print(f"Without PyTorch ({reason}).")
    print(report(results))


if __name__ == "__main__":
    flags.DEFINE_list("models", None, "instead of ViT-B/32, B/16, L/14 and ResNet-50")
    flags.DEFINE_integer("rounds", 5, "measurements of every batch size", lower_bound=1)
    flags.DEFINE_integer("first", None, "batch of the search", lower_bound=1)
    flags.DEFINE_integer("largest", None, "batch of the search", lower_bound=1)
    flags.DEFINE_bool("tiny", False, "small models and batches: a smoke test")
    flags.DEFINE_list("measure", None, "LIBRARY,MODEL: hand back one measurement, and no table")
    flags.DEFINE_string("file", None, "of --measure: the images")
    app.run(main)
