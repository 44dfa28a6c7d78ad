"""How fast a training step is: this library beside PyTorch, in one run on one machine.

    python experiments/bench_step.py --batch=32 --classes=100 --rounds=5

Four things take turns, round after round, with the same random weights, images and prompt:

  paper: the procedure of Bahng et al. 2022 (arXiv 2203.17274) re-created in PyTorch from its
    description. The backbone is not frozen, so the gradients of both towers are computed and
    accumulated, and the text tower encodes every class at every step.
  torch: the same in PyTorch with the backbone frozen and the text features computed once.
  vp_jax: the jitted train step of this library, from uint8 images to the updated prompt.
  peak: float32 matrix products of NumPy, JAX and PyTorch; the best of all is the machine's peak.

The PyTorch model is transformers' CLIPModel. Its images are normalised beforehand, those of vp_jax
within the step. Before anything is timed the losses and the gradients of the first step of all
three are compared. Without torch and transformers only vp_jax and the peak run.

Takes about 40 seconds a round on two idle cores; a busy machine spoils it, and PyTorch's threads
suffer more than JAX's from that. Compare numbers of one run only.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import pathlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from random_weights import random_params

from vp_jax import backbones, heads, prompts
from vp_jax.backbones.clip_hf import HF
from vp_jax.backbones.clip_sizes import SIZES, ClipSize
from vp_jax.backbones.weight_table import to_state_dict
from vp_jax.errors import UserError
from vp_jax.heads.text import unit
from vp_jax.host_memory import keep_freed_memory
from vp_jax.report import table
from vp_jax.training import optimizers
from vp_jax.training.forward import make_forward, make_outputs
from vp_jax.training.step import Batch, init_state, make_train_step

_BATCH = flags.DEFINE_integer("batch", 32, "images a step", lower_bound=1)
_CLASSES = flags.DEFINE_integer("classes", 100, "classes, each with one text", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "timed steps of every variant", lower_bound=1)
_MODEL = flags.DEFINE_string("model", "clip_vit_b32", "a CLIP with a vision transformer")
_PAD = flags.DEFINE_integer("pad", 30, "pixels of the padding prompt")
_TINY = flags.DEFINE_bool("tiny", False, "clip_tiny, batch 4, 5 classes, 2 rounds: a smoke test")
_KEEP = flags.DEFINE_bool("keep_memory", True, "on CPUs, as the command lines of vp_jax do")
_JSON = flags.DEFINE_string("json", None, "file for all numbers")

LEARNING_RATE = 0.1
MOMENTUM = 0.9
TOLERANCE = 1e-3  # relative, of losses and gradient norms between the variants

PAPER, TORCH, VP_JAX = "paper's procedure, PyTorch", "PyTorch, frozen, cached", "vp_jax"


class FirstStep(NamedTuple):
    """What the first step of a variant found: mean loss and norm of the prompt's gradient."""

    loss: float
    grad_norm: float


@dataclasses.dataclass(frozen=True)
class Problem:
    """Weights and data that every variant gets.

    Attributes:
      size: of the CLIP.
      backbone: with random weights.
      pad: pixels of the prompt.
      prompt: its parameters.
      images: uint8, `[B, S, S, 3]`.
      labels: int32, `[B]`.
      tokens: int32, `[K, context_length]`.
    """

    size: ClipSize
    backbone: backbones.Backbone
    pad: int
    prompt: Mapping[str, np.ndarray]
    images: np.ndarray
    labels: np.ndarray
    tokens: np.ndarray


def make_problem(model: str, batch: int, classes: int, pad: int) -> Problem:
    """Random weights, noise images and random texts of 10 tokens, from seed 0."""
    if model not in SIZES or SIZES[model].patch_size is None:
        raise UserError(f"--model={model} is not a CLIP with a vision transformer")
    size = SIZES[model]
    rng = np.random.default_rng(0)
    tokens = np.zeros((classes, size.context_length), np.int32)
    tokens[:, :9] = rng.integers(1, size.vocab_size - 1, (classes, 9))
    tokens[:, 9] = size.vocab_size - 1  # the end of the text has the highest id
    shape = (size.image_size, size.image_size, 3)
    return Problem(
        size=size,
        backbone=backbones.from_params(model, random_params(model)),
        pad=pad,
        prompt=jax.device_get(prompts.pad(pad).init(jax.random.key(1), shape)),
        images=rng.integers(0, 256, (batch, *shape), np.uint8),
        labels=rng.integers(0, classes, batch).astype(np.int32),
        tokens=tokens,
    )


def make_vp_jax(problem: Problem) -> tuple[Callable[[], object], FirstStep]:
    """The library's own train step, after its first call (which compiles)."""
    backbone = problem.backbone
    features = unit(jax.jit(backbone.encode_text)(backbone.params, problem.tokens))
    frozen = {
        "backbone": {"visual": backbone.params["visual"]},
        "head": {"text_features": features, "logit_scale": jnp.float32(backbone.logit_scale)},
    }
    optimizer = optimizers.by_name("sgd", LEARNING_RATE, momentum=MOMENTUM)
    head = heads.text(features, backbone.logit_scale)
    outputs = make_outputs(backbone, prompts.pad(problem.pad), "normalized", head.takes)
    train_step = jax.jit(make_train_step(make_forward(outputs, head), optimizer), donate_argnums=0)
    batch = Batch(problem.images, problem.labels, np.ones(len(problem.labels), bool))
    tuned = {"prompt": jax.tree.map(jnp.asarray, problem.prompt)}
    state = init_state(tuned, optimizer, jax.random.key(0))

    def step() -> dict[str, jax.Array]:
        nonlocal state
        state, metrics = jax.block_until_ready(train_step(state, frozen, batch))
        return metrics

    first = step()
    return step, FirstStep(*(float(first[name]) for name in FirstStep._fields))


def make_torch(problem: Problem, as_the_paper: bool) -> tuple[Callable[[], object], FirstStep]:
    """The PyTorch step, after its first call.

    Args:
      problem: what is computed.
      as_the_paper: whether the backbone gets gradients too and the texts are encoded every step.
    """
    import torch

    model = _torch_clip(problem).requires_grad_(as_the_paper)
    mean, std = np.array(problem.backbone.mean), np.array(problem.backbone.std)
    normalised = (problem.images / 255.0 - mean) / std
    images = torch.tensor(normalised.transpose(0, 3, 1, 2), dtype=torch.float32).contiguous()
    labels, tokens = torch.tensor(problem.labels).long(), torch.tensor(problem.tokens).long()
    parts = {
        side: torch.nn.Parameter(torch.tensor(pixels.transpose(2, 0, 1))[None].contiguous())
        for side, pixels in problem.prompt.items()
    }
    inner = problem.size.image_size - 2 * problem.pad
    centre = torch.zeros(1, 3, inner, inner)
    optimizer = torch.optim.SGD(parts.values(), lr=LEARNING_RATE, momentum=MOMENTUM)
    if not as_the_paper:
        with torch.no_grad():
            text = model.get_text_features(input_ids=tokens)
            text = torch.nn.functional.normalize(getattr(text, "pooler_output", text), dim=-1)
            scale = model.logit_scale.exp()

    def logits(prompted: torch.Tensor) -> torch.Tensor:
        if as_the_paper:
            return model(pixel_values=prompted, input_ids=tokens).logits_per_image
        features = model.get_image_features(pixel_values=prompted)
        features = getattr(features, "pooler_output", features)
        return scale * torch.nn.functional.normalize(features, dim=-1) @ text.T

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        middle = torch.cat([parts["left"], centre, parts["right"]], dim=3)
        prompt = torch.cat([parts["top"], middle, parts["bottom"]], dim=2)
        loss = torch.nn.functional.cross_entropy(logits(images + prompt), labels)
        loss.backward()
        optimizer.step()
        return loss

    loss = float(step().detach())
    grad_norm = torch.sqrt(sum((part.grad**2).sum() for part in parts.values()))
    return step, FirstStep(loss, float(grad_norm))


def _torch_clip(problem: Problem):
    """transformers' CLIPModel with the problem's weights."""
    import torch
    from clip_references import transformers_model

    model = transformers_model(problem.size)
    tensors = to_state_dict(jax.device_get(problem.backbone.params), HF)
    model.load_state_dict({name: torch.tensor(np.array(x)) for name, x in tensors.items()})
    return model


class Flops(NamedTuple):
    """Floating-point operations of a forward pass: products with weights, and of activations."""

    weights: int
    activations: int

    def __add__(self, other: Flops) -> Flops:
        return Flops(self.weights + other.weights, self.activations + other.activations)

    def times(self, count: int) -> Flops:
        return Flops(self.weights * count, self.activations * count)


def block_flops(tokens: int, queries: int, width: int) -> Flops:
    """Of one transformer block and one example.

    Products with weights: keys and values of all T tokens, queries, output and a four times wider
    MLP of the Q tokens that are computed, `2 W^2 (2 T + (1 + 1 + 8) Q)`. Products of activations:
    scores and mixing, `2 * 2 Q T W`. With Q = T that is the usual `24 T W^2 + 4 T^2 W`.
    """
    return Flops(2 * width**2 * (2 * tokens + 10 * queries), 4 * queries * tokens * width)


def image_flops(size: ClipSize, cut: bool) -> Flops:
    """Of the image tower and one image; `cut` computes only the class token in the last block."""
    patches, width = (size.image_size // size.patch_size) ** 2, size.vision_width
    tokens = patches + 1
    return (
        Flops(2 * patches * 3 * size.patch_size**2 * width, 0)
        + block_flops(tokens, tokens, width).times(size.vision_layers - 1)
        + block_flops(tokens, 1 if cut else tokens, width)
        + Flops(2 * width * size.embed_dim, 0)
    )


def text_flops(size: ClipSize) -> Flops:
    """Of the text tower and one class; the causal mask saves nothing."""
    tokens, width = size.context_length, size.text_width
    block = block_flops(tokens, tokens, width).times(size.text_layers)
    return block + Flops(2 * width * size.embed_dim, 0)


def step_flops(size: ClipSize, batch: int, classes: int) -> dict[str, int]:
    """Floating-point operations of a training step of every variant, matrix products only.

    A product with weights costs as much again for the gradient with respect to its input, and once
    more for that of the weights where they are not frozen; a product of two activations costs twice
    as much again, since both have gradients. So a frozen step takes `2 w + 3 a` and one that
    computes all gradients `3 w + 3 a`. Of vp_jax that is counted which is needed: the last block
    for the class token alone. Element-wise work, softmax and normalisation are not counted.
    """
    head = 2 * batch * classes * size.embed_dim
    full, cut = image_flops(size, cut=False).times(batch), image_flops(size, cut=True).times(batch)
    text = text_flops(size).times(classes)
    return {
        PAPER: 3 * sum(full) + 3 * sum(text) + 3 * head,
        TORCH: 2 * full.weights + 3 * full.activations + 2 * head,
        VP_JAX: 2 * cut.weights + 3 * cut.activations + 2 * head,
    }


def make_peak(sides: Sequence[int], torch_too: bool) -> Callable[[], dict[str, float]]:
    """Measures float32 products of square matrices: GFLOP/s by library and side, best of 3."""
    jax_matmul = jax.jit(jnp.matmul)
    rng = np.random.default_rng(0)
    products: dict[str, tuple[int, Callable[[], object]]] = {}
    for n in sides:
        a, b = rng.random((n, n), np.float32), rng.random((n, n), np.float32)
        on_device = jax.device_put((a, b))
        products[f"NumPy {n}"] = n, lambda a=a, b=b: a @ b
        products[f"JAX {n}"] = n, lambda ab=on_device: jax_matmul(*ab).block_until_ready()
        if torch_too:
            import torch

            tensors = torch.from_numpy(a), torch.from_numpy(b)
            products[f"PyTorch {n}"] = n, lambda ab=tensors: torch.matmul(*ab)

    def measure() -> dict[str, float]:
        best = {}
        for name, (n, product) in products.items():
            best[name] = 2 * n**3 / min(seconds(product) for _ in range(3)) / 1e9
        return best

    measure()
    return measure


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def missing_torch() -> str | None:
    """Why the PyTorch variants cannot run, or None."""
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        return str(error)
    return None


def compare(first: Mapping[str, FirstStep]) -> None:
    """Refuses variants whose first step found something else than that of vp_jax."""
    for name, found in first.items():
        if not np.allclose(found, first[VP_JAX], rtol=TOLERANCE):
            raise RuntimeError(f"{name} found {found}, vp_jax {first[VP_JAX]}: not the same step")


def report(
    times: Mapping[str, Sequence[float]], flops: Mapping[str, int], peak: float, batch: int
) -> str:
    """The table: medians over the rounds, and every ratio with its range over the rounds."""

    def ratio(base: str, name: str) -> str:
        if base not in times or base == name:
            return "-"
        ratios = [b / t for b, t in zip(times[base], times[name], strict=True)]
        middle = statistics.median(times[base]) / statistics.median(times[name])
        return f"{middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"

    rows = []
    for name, measured in times.items():
        middle = statistics.median(measured)
        rate = flops[name] / 1e9 / middle
        rows.append(
            (
                name,
                f"{batch / middle:.2f}",
                f"{middle:.3f}",
                f"{min(measured):.3f}",
                f"{flops[name] / 1e9:,.1f}",
                f"{rate:.0f}",
                f"{rate / peak:.0%}",
                f"{flops[name] / 1e9 / min(measured) / peak:.0%}",
                ratio(PAPER, name),
                ratio(TORCH, name),
            )
        )
    headers = (
        "variant",
        "images/s",
        "s/step",
        "best s",
        "GFLOP",
        "GFLOP/s",
        "of peak",
        "best",
        "x paper (range)",
        "x torch (range)",
    )
    return table(rows, headers)


def versions() -> str:
    """Versions of what computes, and the number of cores this process may use."""
    found = []
    for package in ("jax", "numpy", "torch", "transformers"):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{jax.default_backend()}, {cores} cores, {', '.join(found)}"


def main(argv: Sequence[str]) -> None:
    del argv
    kept = _KEEP.value and keep_freed_memory()
    model, batch, classes, rounds = _MODEL.value, _BATCH.value, _CLASSES.value, _ROUNDS.value
    pad, sides = _PAD.value, (1024, 2048, 3072)
    if _TINY.value:
        model, batch, classes, rounds, pad, sides = "clip_tiny", 4, 5, 2, 4, (256,)
    print(
        f"{model}, batch {batch}, {classes} classes, pad {pad}, float32; {versions()}", flush=True
    )
    if kept:
        print("Freed memory is kept, as the command lines of vp_jax do on CPUs; for all variants.")
    if os.getloadavg()[0] > 0.5:
        print(f"Other programs are running (load {os.getloadavg()[0]:.1f}): the times will be off.")
    reason = missing_torch()
    if reason:
        print(f"Without PyTorch ({reason}): vp_jax and the peak only.")

    problem = make_problem(model, batch, classes, pad)
    peak_of = make_peak(sides, torch_too=reason is None)
    steps, first = {}, {}
    for name in (VP_JAX,) if reason else (PAPER, TORCH, VP_JAX):
        make = {PAPER: lambda: make_torch(problem, True), TORCH: lambda: make_torch(problem, False)}
        steps[name], first[name] = make.get(name, lambda: make_vp_jax(problem))()
    compare(first)
    print(f"First step of each: loss {first[VP_JAX].loss:.4f}, the same in all.", flush=True)

    times: dict[str, list[float]] = {name: [] for name in steps}
    peaks: dict[str, float] = {}
    for number in range(rounds):
        for name, step in steps.items():
            times[name].append(seconds(step))
        for name, rate in peak_of().items():
            peaks[name] = max(rate, peaks.get(name, 0.0))
        took = ", ".join(f"{name} {measured[-1]:.3f} s" for name, measured in times.items())
        print(f"round {number + 1} of {rounds}: {took}", flush=True)

    fastest = max(peaks, key=peaks.get)
    flops = step_flops(problem.size, batch, classes)
    print(f"\nfloat32 peak: {peaks[fastest]:.0f} GFLOP/s ({fastest} x {fastest.split()[1]})\n")
    print(report(times, flops, peaks[fastest], batch))
    if _JSON.value:
        result = {
            "model": model,
            "batch": batch,
            "classes": classes,
            "pad": pad,
            "machine": versions(),
            "seconds": times,
            "flops": {name: flops[name] for name in times},
            "peak_gflops": peaks,
        }
        path = pathlib.Path(_JSON.value)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    app.run(main)
