"""What all benchmarks share: clocks, the machine's matrix product peak, columns of speed."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

SPEED = ("images/s", "TFLOP/s", "of peak")  # headers of what `speed` returns
SIDES = (1024, 2048, 3072)  # of the matrices, on CPUs
ACCELERATOR_SIDES = (4096, 8192, 12288)
_TRIAL = 3  # products that tell how long one takes

flags.DEFINE_list("peak_sides", None, "of the matrices of the peak, instead of those that fit")
flags.DEFINE_float("peak_seconds", 1.0, "for which each product of the peak is repeated")


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call, until its arrays are there."""
    start = time.perf_counter()
    jax.block_until_ready(action())
    return time.perf_counter() - start


def rate(action: Callable[[], object], images: int, least: float) -> float:
    """Images/s of calls for so many images each, repeated for some seconds, or made once."""
    calls, start = 0, time.perf_counter()
    while (taken := time.perf_counter() - start) < least or not calls:
        jax.block_until_ready(action())
        calls += 1
    return images * calls / taken


def in_turns(actions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every action in every round; all take turns within a round."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            times[name].append(seconds(action))
    return times


def ratio(base: Sequence[float], other: Sequence[float]) -> str:
    """How many times faster the other is: the median of the rounds, and their range."""
    each = [b / t for b, t in zip(base, other, strict=True)]
    return f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"


def speed(images_per_second: float, flops_per_image: float, peak: float) -> tuple[str, str, str]:
    """The cells under `SPEED`.

    Args:
      images_per_second: as measured.
      flops_per_image: floating-point operations that were counted.
      peak: floating-point operations a second of matrix products, as measured.
    """
    rate = images_per_second * flops_per_image
    return f"{images_per_second:,.2f}", f"{rate / 1e12:,.4g}", f"{rate / peak:.1%}"


class Peak:
    """The machine's matrix product peak by dtype: the fastest square product, measured in turns.

    Clocks and neighbours make a machine faster and slower by the second. Products that are repeated
    for about as long as a step takes, in the same rounds, have seen the same of it.

    Attributes:
      rates: by library, dtype and side: operations a second of a product, the best so far.
      rounds: by dtype: those of the fastest product in each measurement.
    """

    def __init__(
        self,
        dtypes: Sequence[str] = ("float32",),
        sides: Sequence[int] | None = None,
        libraries: Sequence[str] | None = None,
        least: float | None = None,
    ):
        """Makes the matrices, finds out how often to repeat each product, and measures once.

        Args:
          dtypes: `"float32"`, `"bfloat16"`.
          sides: of the matrices; by default those of `--peak_sides`, or that fit the device.
          libraries: of NumPy (float32 only), JAX and PyTorch; on a CPU all by default, else JAX.
            PyTorch takes a card if it sees one and JAX is not asked for.
          least: seconds for which each product is repeated; by default `--peak_seconds`.
        """
        on_cpu = jax.default_backend() == "cpu"
        if sides is None:
            given = flags.FLAGS.peak_sides
            sides = [int(x) for x in given] if given else SIDES if on_cpu else ACCELERATOR_SIDES
        if libraries is None:
            libraries = ("NumPy", "JAX", "PyTorch") if on_cpu else ("JAX",)
        on_card = "JAX" not in libraries
        makers = {
            "NumPy": _numpy_product,
            "JAX": _jax_product,
            "PyTorch": functools.partial(_torch_product, on_card),
        }
        if missing_torch():
            makers.pop("PyTorch")
        self._products: dict[tuple[str, str, int], Callable[[int], object]] = {
            (library, dtype, side): makers[library](side, dtype)
            for dtype in dtypes
            for side in sides
            for library in libraries
            if library in makers and (library, dtype) != ("NumPy", "bfloat16")
        }
        self.rates: dict[tuple[str, str, int], float] = {}
        self.rounds: dict[str, list[float]] = {dtype: [] for dtype in dtypes}
        least = flags.FLAGS.peak_seconds if least is None else least
        self._calls: dict[tuple[str, str, int], int] = {}
        for key, product in self._products.items():
            seconds(lambda p=product: p(1))  # compiles
            taken = seconds(lambda p=product: p(_TRIAL)) / _TRIAL
            self._calls[key] = max(1, round(least / taken))
        self.measure()

    def measure(self) -> None:
        """Measures every product once more."""
        fastest = dict.fromkeys(self.rounds, 0.0)
        for key, product in self._products.items():
            calls = self._calls[key]
            rate = 2 * key[2] ** 3 * calls / seconds(lambda p=product, n=calls: p(n))
            self.rates[key] = max(rate, self.rates.get(key, 0.0))
            fastest[key[1]] = max(rate, fastest[key[1]])
        for dtype, rate in fastest.items():
            self.rounds[dtype].append(rate)

    def of(self, dtype: str) -> float:
        """Operations a second of the fastest product of a dtype, the median of all measurements."""
        return statistics.median(self.rounds[dtype])

    def __str__(self) -> str:
        lines = []
        for dtype in self.rounds:
            rate, (library, _, side) = max(
                (rate, key) for key, rate in self.rates.items() if key[1] == dtype
            )
            lines.append(
                f"{dtype} peak: {self.of(dtype) / 1e12:.4g} TFLOP/s, "
                f"at best {rate / 1e12:.4g} ({library}, {side} x {side})"
            )
        return "\n".join(lines)


def _numpy_product(side: int, dtype: str) -> Callable[[int], object]:
    a, b = np.random.default_rng(0).random((2, side, side), np.float32)

    def repeat(calls: int) -> None:
        for _ in range(calls):
            a @ b

    return repeat


def _jax_product(side: int, dtype: str) -> Callable[[int], object]:
    a, b = jnp.asarray(np.random.default_rng(0).random((2, side, side), np.float32), dtype)
    product = jax.jit(jnp.matmul)

    def repeat(calls: int) -> jax.Array:
        for _ in range(calls):
            last = product(a, b)
        return last

    return repeat


def _torch_product(on_card: bool, side: int, dtype: str) -> Callable[[int], object]:
    import torch

    device = "cuda" if on_card and torch.cuda.is_available() else "cpu"
    matrices = torch.rand((2, side, side), device=device).to(getattr(torch, dtype))

    def repeat(calls: int) -> None:
        for _ in range(calls):
            torch.matmul(*matrices)
        if device == "cuda":
            torch.cuda.synchronize()

    return repeat


def missing_torch(*packages: str) -> str | None:
    """Why PyTorch, or a package that needs it, cannot be used; None if it can."""
    for package in ("torch", *packages):
        try:
            if package == "torch":
                import torch  # noqa: F401
            elif importlib.util.find_spec(package) is None:
                return f"No module named '{package}'"
        except ImportError as error:
            return str(error)
    return None


def machine() -> str:
    """The device, the cores that this process may use, and the versions of what computes."""
    found = []
    for package in ("jax", "numpy", "torch", "transformers", "timm"):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{jax.devices()[0].device_kind}, {cores} cores, {', '.join(found)}"


def warn_if_busy() -> None:
    """Says so if other programs are running."""
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"Other programs are running (load {load:.1f}): the times will be off.", flush=True)


def in_process_of_its_own(arguments: Sequence[object], **environment: str) -> Any:
    """What `python ARGUMENTS` hands back by `hand_back`.

    Raises:
      subprocess.CalledProcessError: it failed; what it printed to stderr has been shown.
    """
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.rsplit(_MARK, 1)[1])


def hand_back(result: Any) -> None:
    """Gives a JSON value to the process that started this one."""
    print(f"{_MARK}{json.dumps(result)}", flush=True)


_MARK = "RESULT "
