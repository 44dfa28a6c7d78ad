"""What a training step costs against the number of classes and the batch, and the memory it takes.

    python experiments/benchmarks/cost.py
    python experiments/benchmarks/cost.py --model=clip_tiny --batches=2,4 --classes=2,4 --rounds=2

Three tables:

  classes: seconds of a step, in turns, and their ratio to those with the middle number of classes.
    Texts are encoded once, so that a class costs a column of one product.
  batch: seconds of a step, in turns, and by how much they are off a straight line, the one with
    the least squares of relative errors.
  memory: what a step needs beside the weights, this library's and that of PyTorch with the backbone
    frozen and the texts cached, each in a process of its own: the most resident memory of three
    steps, above what is resident before the first one (compiled, with weights and images loaded).
    *XLA* is the size of the temporary arrays that the compiled program plans for. PyTorch needs
    torch, transformers and timm; the whole table needs Linux with glibc.

Takes five minutes on two idle cores; a busy machine spoils it.
"""

from __future__ import annotations

import ctypes
import gc
import pathlib
import re
import statistics
from collections.abc import Callable, Mapping, Sequence

import counted
import measure
import numpy as np
import problem as problem_lib
from absl import app, flags

from vp_jax.host.memory import keep_freed_memory
from vp_jax.report import table

STEPS = 3  # whose memory is watched
OURS, TORCH = "vp_jax", "PyTorch"


def timed(
    problems: Mapping[int, problem_lib.Problem], peak: measure.Peak, rounds: int
) -> dict[int, list[float]]:
    """Seconds of the steps of several problems, in turns."""
    steps = {key: problem_lib.make_step(problem)[0] for key, problem in problems.items()}
    times = measure.in_turns({**steps, "peak": peak.measure}, rounds)
    return {key: times[key] for key in steps}


def speed(problem: problem_lib.Problem, seconds: float, peak: measure.Peak) -> tuple[str, ...]:
    """The cells under `measure.SPEED` of a step."""
    flops = counted.image_flops(problem.backbone.name, problem.classes).step
    return measure.speed(problem.batch / seconds, flops, peak.of("float32"))


def by_classes(
    model: str, batch: int, counts: Sequence[int], at: int, peak: measure.Peak, rounds: int
) -> str:
    """The table of classes."""
    problems = {count: problem_lib.make_problem(model, batch, count) for count in counts}
    times = timed(problems, peak, rounds)
    rows = []
    for count, seconds in times.items():
        middle = statistics.median(seconds)
        ratio = measure.ratio(seconds, times[at])
        rows.append((f"{count:,}", *speed(problems[count], middle, peak), f"{middle:.3f}", ratio))
    return table(rows, ("classes", *measure.SPEED, "s/step", f"x {at} classes (range)"))


def line(batches: Sequence[int], seconds: Sequence[float]) -> np.ndarray:
    """Seconds on the straight line with the least squares of relative errors."""
    design = np.stack([np.ones(len(batches)), np.asarray(batches, float)], axis=1)
    taken = np.asarray(seconds)
    coefficients, *_ = np.linalg.lstsq(design / taken[:, None], np.ones(len(taken)), rcond=None)
    return design @ coefficients


def by_batch(
    model: str, batches: Sequence[int], classes: int, peak: measure.Peak, rounds: int
) -> str:
    """The table of batches."""
    problems = {batch: problem_lib.make_problem(model, batch, classes) for batch in batches}
    times = timed(problems, peak, rounds)
    middles = [statistics.median(seconds) for seconds in times.values()]
    rows = []
    for batch, middle, on_line in zip(batches, middles, line(batches, middles), strict=True):
        cells = speed(problems[batch], middle, peak)
        rows.append(
            (
                batch,
                *cells,
                f"{middle:.3f}",
                f"{middle / batch:.4f}",
                f"{middle / on_line - 1:+.1%}",
            )
        )
    return table(rows, ("batch", *measure.SPEED, "s/step", "s/image", "off the line"))


def by_memory(model: str, batches: Sequence[int], classes: int) -> str:
    """The table of memory."""
    rows = []
    for batch in batches:

        def found(name: str, batch: int = batch) -> tuple[int, int | None]:
            flags_of_child = (f"--model={model}", f"--batches={batch}", f"--classes={classes}")
            child = (__file__, f"--watch={name}", *flags_of_child)
            return measure.in_process_of_its_own(child)

        most, planned = found(OURS)
        theirs = None if measure.missing_torch("transformers", "timm") else found(TORCH)[0]
        ratio = None if theirs is None else f"{most / theirs:.2f}"
        rows.append((batch, _megabytes(most), _megabytes(planned), _megabytes(theirs), ratio))
    return table(rows, ("batch", OURS, "XLA", TORCH, "x PyTorch"))


def _megabytes(count: int | None) -> str | None:
    return None if count is None else f"{count / 1e6:,.0f} MB"


def watch(name: str, problem: problem_lib.Problem) -> tuple[int, int | None]:
    """Bytes that a step needs: the most resident above what was before, and what XLA planned."""
    if name == TORCH:
        import torch_steps

        return most_resident(torch_steps.build(problem).step), None
    step, planned = problem_lib.compile_step(problem)
    return most_resident(step), planned


def most_resident(step: Callable[[], object]) -> int:
    """Bytes by which the resident memory of this process grew at most, during some steps."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # or steps would use memory that counts as resident before
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew, see proc(5)
    before = _status("VmRSS")
    for _ in range(STEPS):
        step()
    return _status("VmHWM") - before


def _status(name: str) -> int:
    """Bytes, of a line of this process's status."""
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE).group(1))


def main(argv: Sequence[str]) -> None:
    """Prints the three tables."""
    del argv
    values = flags.FLAGS
    batches, counts = [sorted(map(int, x)) for x in (values.batches, values.classes)]
    if values.watch:
        problem = problem_lib.make_problem(values.model, batches[0], counts[0])
        measure.hand_back(watch(values.watch, problem))
        return
    keep_freed_memory()
    measure.warn_if_busy()
    at_batch, at = batches[len(batches) // 2], counts[len(counts) // 2]
    peak = measure.Peak()
    of_classes = by_classes(values.model, at_batch, counts, at, peak, values.rounds)
    of_batches = by_batch(values.model, batches, at, peak, values.rounds)
    print(f"{values.model}, {values.rounds} rounds; {measure.machine()}\n{peak}")
    print(f"\nclasses, batch {at_batch}\n{of_classes}\n\nbatch, {at} classes\n{of_batches}")
    print(f"\nmemory, {at} classes\n{by_memory(values.model, batches, at)}")


if __name__ == "__main__":
    flags.DEFINE_string("model", "clip_vit_b32", "of backbones.names()")
    flags.DEFINE_list("batches", ["8", "16", "32", "64"], "images a step; the others at the middle")
    flags.DEFINE_list("classes", ["10", "100", "1000"], "classes; the others at the middle one")
    flags.DEFINE_integer("rounds", 5, "timed steps of each", lower_bound=1)
    flags.DEFINE_enum("watch", None, [OURS, TORCH], "hand back the memory of a step, and no table")
    app.run(main)
