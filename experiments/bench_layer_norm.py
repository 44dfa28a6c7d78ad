"""What the written-out gradient of LayerNorm is worth: a whole training step with and without it.

    python experiments/bench_layer_norm.py --batch=32 --rounds=7

Two train steps of CLIP ViT-B/32 with a padding prompt take turns on the same weights, one with
`vp_jax.backbones.layer_norm` and one with flax's LayerNorm, whose gradient JAX derives. Needs no
PyTorch. About 20 seconds on two idle cores; run it on an idle machine.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from unittest import mock

import bench_step
import flax.linen as nn
from absl import app, flags

from vp_jax.backbones import clip_text, clip_vit, transformer
from vp_jax.host_memory import keep_freed_memory
from vp_jax.report import table


def flax_layer_norm(
    name: str, dtype=None, epsilon: float = transformer.LAYER_NORM_EPSILON
) -> nn.LayerNorm:
    """flax's own, with the same parameters and the same result."""
    return nn.LayerNorm(epsilon=epsilon, use_fast_variance=False, dtype=dtype, name=name)


def main(argv: Sequence[str]) -> None:
    del argv
    keep_freed_memory()
    given = flags.FLAGS  # those of bench_step
    problem = bench_step.make_problem(given.model, given.batch, given.classes, given.pad)
    ours, first = bench_step.make_vp_jax(problem)
    with (
        mock.patch.object(transformer, "layer_norm", flax_layer_norm),
        mock.patch.object(clip_vit, "layer_norm", flax_layer_norm),
        mock.patch.object(clip_text, "layer_norm", flax_layer_norm),
    ):
        theirs, first_of_flax = bench_step.make_vp_jax(problem)
    bench_step.compare({bench_step.VP_JAX: first, "flax": first_of_flax})
    times: dict[str, list[float]] = {"flax.linen.LayerNorm": [], "vp_jax LayerNorm": []}
    for _ in range(given.rounds):
        for measured, step in zip(times.values(), (theirs, ours), strict=True):
            measured.append(bench_step.seconds(step))
    base = statistics.median(times["flax.linen.LayerNorm"])
    rows = [
        (name, f"{statistics.median(t):.3f}", f"{min(t):.3f}", f"{base / statistics.median(t):.3f}")
        for name, t in times.items()
    ]
    print(f"{given.model}, batch {given.batch}; {bench_step.versions()}\n")
    print(table(rows, ("variant", "s/step", "best s", "x flax")))


if __name__ == "__main__":
    app.run(main)
