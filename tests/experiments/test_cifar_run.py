"""A run of CIFAR100's size, at a tiny one."""

import re

import cifar_run
import pytest


def test_durations_are_readable():
    assert cifar_run.duration(59.94) == "59.9 s"
    assert cifar_run.duration(5400.0) == "1.50 h"


@pytest.mark.slow
def test_epochs_are_timed_and_extrapolated(python):
    small = ("--tiny", "--epochs=3", "--dtype=bfloat16", "--peak_sides=64", "--peak_seconds=0")
    done = python("experiments/benchmarks/cifar_run.py", *small, check=True)
    line = r"^(epoch|3 epochs|1,000 epochs).*? ([\d.]+) (s|h)$"
    seconds = {
        name: float(number) * {"s": 1, "h": 3600}[unit]
        for name, number, unit in re.findall(line, done.stdout, re.M)
    }
    epoch, whole, long = (seconds[name] for name in ("epoch", "3 epochs", "1,000 epochs"))
    assert 0 < epoch < whole < long
    assert long == pytest.approx(whole + 997 * epoch, rel=0.2)
