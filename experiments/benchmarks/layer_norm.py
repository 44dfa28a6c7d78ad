"""What the written-out gradient of LayerNorm is worth: a whole training step with and without it.

    python experiments/benchmarks/layer_norm.py --batch=32 --rounds=7

Two train steps of CLIP ViT-B/32 with a padding prompt take turns on the same weights, one with
`vp_jax.backbones.layers.layer_norm` and one with flax's LayerNorm, whose gradient JAX derives.
Needs no PyTorch. About 20 seconds on two idle cores; run it on an idle machine.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from unittest import mock

import counted
import flax.linen as nn
import measure
import numpy as np
import problem as problem_lib
from absl import app, flags

from vp_jax.backbones.clip import text as clip_text
from vp_jax.backbones.clip import vit as clip_vit
from vp_jax.backbones.layers import transformer
from vp_jax.host.memory import keep_freed_memory
from vp_jax.report import table

FLAX, VP_JAX = "flax.linen.LayerNorm", "vp_jax LayerNorm"


def flax_layer_norm(
    name: str, dtype=None, epsilon: float = transformer.LAYER_NORM_EPSILON
) -> nn.LayerNorm:
    """flax's own, with the same parameters and the same result."""
    return nn.LayerNorm(epsilon=epsilon, use_fast_variance=False, dtype=dtype, name=name)


def main(argv: Sequence[str]) -> None:
    """Makes both steps, compares what they find, and times them."""
    del argv
    keep_freed_memory()
    measure.warn_if_busy()
    values = flags.FLAGS
    problem = problem_lib.make_problem(values.model, values.batch, values.classes)
    flops = counted.image_flops(values.model, values.classes).step
    ours, first = problem_lib.make_step(problem)
    with (
        mock.patch.object(transformer, "layer_norm", flax_layer_norm),
        mock.patch.object(clip_vit, "layer_norm", flax_layer_norm),
        mock.patch.object(clip_text, "layer_norm", flax_layer_norm),
    ):
        theirs, first_of_flax = problem_lib.make_step(problem)
    np.testing.assert_allclose(first_of_flax, first, rtol=1e-3, err_msg="not the same step")
    peak = measure.Peak()
    actions = {FLAX: theirs, VP_JAX: ours, "peak": peak.measure}
    times = measure.in_turns(actions, values.rounds)
    rows = []
    for name in (FLAX, VP_JAX):
        middle = statistics.median(times[name])
        speed = measure.speed(values.batch / middle, flops, peak.of("float32"))
        ratio = statistics.median(times[FLAX]) / middle
        rows.append((name, *speed, f"{middle:.3f}", f"{min(times[name]):.3f}", f"{ratio:.3f}"))
    print(f"{values.model}, batch {values.batch}; {measure.machine()}\n{peak}\n")
    print(table(rows, ("variant", *measure.SPEED, "s/step", "best s", "x flax")))


if __name__ == "__main__":
    flags.DEFINE_string("model", "clip_vit_b32", "a CLIP with a vision transformer")
    flags.DEFINE_integer("batch", 32, "images a step", lower_bound=1)
    flags.DEFINE_integer("classes", 100, "classes, each with one text", lower_bound=1)
    flags.DEFINE_integer("rounds", 7, "timed steps of both", lower_bound=1)
    app.run(main)
