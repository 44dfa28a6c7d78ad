"""The benchmark runs, also where PyTorch is not installed, and counts what it should."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = ROOT / "experiments" / "bench_step.py"


def test_it_runs_without_torch(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('torch is hidden')\n")
    result = tmp_path / "out" / "result.json"
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--tiny", f"--json={result}"],
        env=os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Without PyTorch (torch is hidden)" in done.stdout
    found = json.loads(result.read_text())
    assert list(found["seconds"]) == list(found["flops"]) == ["vp_jax"]
    assert len(found["seconds"]["vp_jax"]) == 2
    assert all(rate > 0 for rate in found["peak_gflops"].values())


@pytest.fixture(scope="module")
def bench():
    from absl import flags

    before = set(flags.FLAGS)
    spec = importlib.util.spec_from_file_location("bench_step", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)


def test_flops_of_a_block(bench):
    tokens, width = 50, 768
    whole = bench.block_flops(tokens, tokens, width)
    assert sum(whole) == 24 * tokens * width**2 + 4 * tokens**2 * width
    cut = bench.block_flops(tokens, 1, width)
    assert cut.weights == 2 * width**2 * (2 * tokens + 10)
    assert cut.activations == 4 * tokens * width


def test_flops_of_a_step(bench):
    size = bench.SIZES["clip_vit_b32"]
    flops = bench.step_flops(size, batch=32, classes=100)
    gflops = {name: round(count / 1e9) for name, count in flops.items()}
    assert gflops == {bench.PAPER: 2634, bench.TORCH: 567, bench.VP_JAX: 530}
    twice = bench.step_flops(size, batch=64, classes=100)
    assert twice[bench.VP_JAX] == 2 * flops[bench.VP_JAX]


def test_the_table_divides_round_by_round(bench):
    times = {bench.PAPER: [6.0, 8.0], bench.TORCH: [2.0, 2.0], bench.VP_JAX: [1.0, 2.0]}
    flops = dict.fromkeys(times, 30_000_000_000)
    text = bench.report(times, flops, peak=40.0, batch=3)
    paper, torch, ours = text.splitlines()[2:]
    assert ours.endswith(
        " 2.00   1.500   1.000   30.0       20      50%   75%"
        "  4.67 (4.00 to 6.00)  1.33 (1.00 to 2.00)"
    )
    assert torch.endswith(" 3.50 (3.00 to 4.00)  -")
    assert paper.endswith(" -                    0.29 (0.25 to 0.33)")


def test_variants_that_differ_are_refused(bench):
    same = bench.FirstStep(4.6, 0.5)
    bench.compare({bench.VP_JAX: same, bench.TORCH: bench.FirstStep(4.6001, 0.5001)})
    with pytest.raises(RuntimeError, match="not the same step"):
        bench.compare({bench.VP_JAX: same, bench.TORCH: bench.FirstStep(4.6, 0.6)})


def test_a_resnet_is_refused(bench):
    with pytest.raises(bench.UserError, match="vision transformer"):
        bench.make_problem("clip_rn50", 2, 3, 30)


def test_layer_norms_are_compared_on_the_same_step(python):
    small = ("--model=clip_tiny", "--pad=4", "--batch=4", "--classes=5", "--rounds=2")
    done = python("experiments/bench_layer_norm.py", *small, check=True)
    assert "flax.linen.LayerNorm" in done.stdout and "vp_jax LayerNorm" in done.stdout
