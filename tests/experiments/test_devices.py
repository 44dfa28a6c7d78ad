"""The benchmark of devices runs, at a tiny size, and finds the same results on all of them."""

import re

import pytest


@pytest.mark.slow
def test_devices(python):
    small = (
        *("--model=clip_tiny", "--batch=4", "--rounds=1", "--epochs=1", "--devices=1,2"),
        *("--peak_sides=64", "--peak_seconds=0"),
    )
    out = python("experiments/benchmarks/devices.py", *small, check=True).stdout
    rows = re.findall(r"^ *(\d) +(\w+) +(\S+) +(\S+) %$", out, re.MULTILINE)
    assert [row[:2] for row in rows] == [
        ("1", "replicated"),
        ("2", "replicated"),
        ("2", "fsdp"),
    ]
    assert all(float(difference) <= 1e-5 for *_, difference, _ in rows)
    assert len({accuracy for *_, accuracy in rows}) == 1
    assert re.search(r"^sharded +\S+ +\S+ +\S+% +\S+ +[+-]\d+\.\d %$", out, re.MULTILINE)
