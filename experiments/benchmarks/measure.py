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

flags.DEFINE_list("peak_sides", None, "of the matrices of the peak, instead of those that fit")


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call, until its arrays are there."""
    start = time.perf_counter()
    jax.block_until_ready(action())
    return time.perf_counter() - start


def in_turns(actions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every action in every round; all take turns within a round."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            times[name].append(seconds(action))
    return times


def ratio(base: Sequence[float], other: Sequence[float]) -> str:
    """How many times faster the other is: of the medians, and the range over the rounds."""
    each = [b / t for b, t in zip(base, other, strict=True)]
    middle = statistics.median(base) / statistics.median(other)
    return f"{middle:.2f} ({min(each):.2f} to {max(each):.2f})"


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
    """The machine's matrix product peak: the fastest square product found so far, by dtype.

    Attributes:
      best: by dtype, floating-point operations a second and the product that reached it.
      rates: by product, the best so far.
    """

    def __init__(
        self,
        dtypes: Sequence[str] = ("float32",),
        sides: Sequence[int] | None = None,
        libraries: Sequence[str] | None = None,
        calls: int | None = None,
    ):
        """Makes the matrices, warms up and measures once.

        Args:
          dtypes: `"float32"`, `"bfloat16"`.
          sides: of the matrices; by default those of `--peak_sides`, or that fit the device.
          libraries: of NumPy (float32 only), JAX and PyTorch; on a CPU all by default, else JAX.
            PyTorch takes a card if it sees one and JAX is not asked for.
          calls: one after the other, so that starting a product hides behind the one before it; by
            default 1 on a CPU, else 10.
        """
        on_cpu = jax.default_backend() == "cpu"
        if sides is None:
            given = flags.FLAGS.peak_sides
            sides = [int(x) for x in given] if given else SIDES if on_cpu else ACCELERATOR_SIDES
        if libraries is None:
            libraries = ("NumPy", "JAX", "PyTorch") if on_cpu else ("JAX",)
        self._calls = calls or (1 if on_cpu else 10)
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
        for product in self._products.values():
            seconds(lambda p=product: p(1))
        self.measure()

    def measure(self) -> None:
        """Measures every product three times more."""
        for key, product in self._products.items():
            taken = min(seconds(lambda p=product: p(self._calls)) for _ in range(3))
            rate = 2 * key[2] ** 3 * self._calls / taken
            self.rates[key] = max(rate, self.rates.get(key, 0.0))

    def of(self, dtype: str) -> float:
        """Floating-point operations a second of the fastest product of a dtype."""
        return max(rate for key, rate in self.rates.items() if key[1] == dtype)

    def __str__(self) -> str:
        lines = []
        for dtype in dict.fromkeys(key[1] for key in self.rates):
            rate, (library, _, side) = max(
                (rate, key) for key, rate in self.rates.items() if key[1] == dtype
            )
            lines.append(f"{dtype} peak: {rate / 1e12:.4g} TFLOP/s ({library}, {side} x {side})")
        return "\n".join(lines)


def _numpy_product(side: int, dtype: str) -> Callable[[int], object]:
    a, b = np.random.default_rng(0).random((2, side, side), np.float32)
    return lambda calls: [a @ b for _ in range(calls)]


def _jax_product(side: int, dtype: str) -> Callable[[int], object]:
    a, b = jnp.asarray(np.random.default_rng(0).random((2, side, side), np.float32), dtype)
    product = jax.jit(jnp.matmul)
    return lambda calls: [product(a, b) for _ in range(calls)][-1]


def _torch_product(on_card: bool, side: int, dtype: str) -> Callable[[int], object]:
    import torch

    device = "cuda" if on_card and torch.cuda.is_available() else "cpu"
    matrices = torch.rand((2, side, side), device=device).to(getattr(torch, dtype))

    def product(calls: int) -> None:
        for _ in range(calls):
            torch.matmul(*matrices)
        if device == "cuda":
            torch.cuda.synchronize()

    return product


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
