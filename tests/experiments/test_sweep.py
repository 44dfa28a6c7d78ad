"""The sweep of learning rates and the benchmark of many prompts, on made-up and tiny runs."""

import re
import runpy
import sys

import numpy as np
import pytest


@pytest.fixture
def sweep(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["sweep.py"])
    return runpy.run_path("experiments/sweep.py")


def member(rate, seed, test):
    settings = {"optimizer.learning_rate": rate, "seed": seed}
    if test is None:
        return {"settings": settings, "failed_step": 3}
    return {"settings": settings, "val_accuracy": test + 0.1, "test_accuracy": test}


MEMBERS = [member(5.0, 0, 0.5), member(5.0, 1, 0.6), member(1e9, 0, None), member(1e9, 1, None)]


def test_the_table_has_means_and_ranges_and_leaves_out_what_failed(sweep):
    lines = sweep["rates_table"](sweep["by_rate"](MEMBERS)).split("\n")
    assert re.split(r"\s{2,}", lines[2].strip()) == [
        *("5", "2", "65.0 (60.0 to 70.0)", "55.0 (50.0 to 60.0)"),
    ]
    assert lines[3].split() == ["1e+09", "0", "-", "-"]


def test_the_picture(sweep, tmp_path):
    from PIL import Image

    sweep["draw"](tmp_path / "rates.png", sweep["by_rate"](MEMBERS))
    assert np.asarray(Image.open(tmp_path / "rates.png").convert("RGB")).std() > 5


@pytest.mark.slow
def test_the_benchmark_compares_steps_and_everything(python):
    script = "experiments/benchmarks/many.py"
    small = ("--members=2", "--epochs=1", "--rounds=1", "--peak_sides=64", "--peak_seconds=0")
    done = python(script, *small, check=True)
    rows = re.findall(
        r"^(\w+) +(one by one|at once) +(\S+) +(\S+) +\S+ +\S+% +(\S+)", done.stdout, re.MULTILINE
    )
    assert [row[:2] for row in rows] == [
        (what, way) for what in ("steps", "everything") for way in ("one by one", "at once")
    ]
    for one, together in (rows[:2], rows[2:]):
        for column, up in ((2, 1), (3, -1)):
            slow, fast = (float(row[column].replace(",", "")) for row in (one, together))
            ratio = (slow / fast) ** up
            assert float(together[4]) == pytest.approx(ratio, rel=0.05)
