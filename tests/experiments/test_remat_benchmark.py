"""The table of memory against speed has a row for every choice."""

import pytest


@pytest.mark.slow
def test_a_row_for_every_choice(python):
    done = python(
        "experiments/benchmarks/remat.py",
        *("--models=clip_tiny", "--batch=2", "--classes=3", "--rounds=1"),
        *("--peak_sides=64", "--peak_seconds=0"),
        check=True,
    )
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("clip_tiny")]
    assert [row[1] for row in rows] == ["none", "elementwise", "blocks"]
    assert rows[0][4] == "1.00" and rows[0][3] == "MB"
