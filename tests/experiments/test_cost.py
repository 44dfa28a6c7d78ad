"""The benchmark of a step's cost: its line, its memory, its tables."""

import sys

import cost
import numpy as np
import pytest

SMALL = (
    *("--model=clip_tiny", "--batches=2,4", "--classes=2,4", "--rounds=2"),
    *("--peak_sides=64", "--peak_seconds=0"),
)


def test_what_is_linear_is_on_the_line():
    batches = np.array([8, 16, 32])
    np.testing.assert_allclose(cost.line(batches, 0.5 + 0.1 * batches), 0.5 + 0.1 * batches)
    off = cost.line(batches, [1.0, 2.0, 8.0]) / [1.0, 2.0, 8.0] - 1
    assert np.abs(off).max() > 0.1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_memory_is_that_of_the_steps():
    def step():
        return np.ones(40_000_000, np.uint8).sum()

    step()
    assert 38e6 < cost.most_resident(step) < 60e6


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_it_prints_three_tables(python):
    done = python("experiments/benchmarks/cost.py", *SMALL, check=True)
    tables = done.stdout.split("\n\n")
    assert [table.split(",")[0].strip() for table in tables[1:]] == ["classes", "batch", "memory"]
    assert all(len(table.strip().splitlines()) == 5 for table in tables[1:])
    assert "1.00 (1.00 to 1.00)" in tables[1]
