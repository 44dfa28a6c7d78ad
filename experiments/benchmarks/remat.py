"""Memory against speed: activations kept for the backward pass, or computed again.

    python experiments/benchmarks/remat.py
    python experiments/benchmarks/remat.py --models=clip_vit_b16 --batch=64 --dtype=bfloat16

For every model the train step takes turns with `config.backbone.remat` at each of its values.
*memory* is the size of the temporary arrays that the compiled program plans for, activations first
of all. The floating-point operations are those of a step that computes nothing again. XLA for CPUs
ignores the setting before jax 0.12.

Takes five minutes on two idle cores; a busy machine spoils the times, not the memory.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import counted
import measure
import problem as problem_lib
from absl import app, flags
from random_weights import random_params

from vp_jax import backbones
from vp_jax.host.memory import keep_freed_memory
from vp_jax.report import table


def compare(
    model: str, batch: int, classes: int, dtype: str, peak: measure.Peak, rounds: int
) -> list[tuple[str, ...]]:
    """Rows of the table of one model."""
    params, made = random_params(model), {}
    for choice in backbones.REMATS:
        problem = problem_lib.make_problem(
            model, batch, classes, params=params, dtype=dtype, remat=choice
        )
        made[choice] = problem_lib.compile_step(problem)
        made[choice][0]()  # warms up
    actions = {choice: step for choice, (step, _) in made.items()}
    times = measure.in_turns({**actions, "peak": peak.measure}, rounds)
    usual, most = backbones.REMATS[0], made[backbones.REMATS[0]][1]
    flops, rows = counted.image_flops(model, classes).step, []
    for choice, (_, memory) in made.items():
        middle = statistics.median(times[choice])
        speed = measure.speed(batch / middle, flops, peak.of(dtype))
        ratio = measure.ratio(times[usual], times[choice])
        size = f"{memory / 1e6:,.0f} MB", f"{memory / most:.2f}"
        rows.append((model, choice, *size, *speed, f"{middle:.3f}", ratio))
    return rows


def main(argv: Sequence[str]) -> None:
    """Prints one table for all models."""
    del argv
    keep_freed_memory()
    measure.warn_if_busy()
    values = flags.FLAGS
    peak, rows = measure.Peak((values.dtype,)), []
    for model in values.models:
        rows += compare(model, values.batch, values.classes, values.dtype, peak, values.rounds)
    print(f"batch {values.batch}, {values.dtype}; {measure.machine()}\n{peak}\n")
    headers = ("model", "remat", "memory", "x none", *measure.SPEED, "s/step", "speed x none")
    print(table(rows, headers))


if __name__ == "__main__":
    models = ["clip_vit_b32", "clip_vit_b16", "resnet50"]
    flags.DEFINE_list("models", models, "of backbones.names()")
    flags.DEFINE_integer("batch", 32, "images a step", lower_bound=1)
    flags.DEFINE_integer("classes", 100, "classes", lower_bound=1)
    flags.DEFINE_string("dtype", "float32", "that the backbone computes in")
    flags.DEFINE_integer("rounds", 3, "timed steps of each", lower_bound=1)
    app.run(main)
