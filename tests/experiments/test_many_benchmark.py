"""The benchmark of many prompts, on tiny runs."""

import re

import pytest


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
