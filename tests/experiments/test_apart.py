"""Benchmark steps in processes of their own."""

import contextlib
import functools
import os

import pytest
from apart import Apart


def make_counter(path, failing_at=None):
    """A function that writes how often it was called; what is found first is the process."""
    calls = 0

    def call():
        nonlocal calls
        calls += 1
        if calls == failing_at:
            raise ValueError("no more")
        path.write_text(str(calls))

    return call, os.getpid()


def make_nothing():
    raise ValueError("cannot be made")


def end():
    return functools.partial(os._exit, 3), None


def test_calls_are_made_in_one_other_process(tmp_path):
    make = functools.partial(make_counter, tmp_path / "calls", failing_at=3)
    with contextlib.closing(Apart(make, keep_memory=True)) as apart:
        assert apart.first != os.getpid()
        for expected in "12":
            apart()
            assert (tmp_path / "calls").read_text() == expected
        with pytest.raises(RuntimeError, match="ValueError: no more"):
            apart()
    with pytest.raises(ProcessLookupError):
        os.kill(apart.first, 0)


def test_what_cannot_be_made_is_said():
    with pytest.raises(RuntimeError, match="ValueError: cannot be made"):
        Apart(make_nothing, keep_memory=False)


def test_a_process_that_ends_is_noticed():
    apart = Apart(end, keep_memory=False)
    with pytest.raises(RuntimeError, match="a process of the benchmark ended, status 3"):
        apart()
    apart.close()
