"""A few seconds of what `fuzz.py` does for as long as one likes; the same cases every time."""

import signal

import fuzz
import pytest
from targets import TARGETS

CASES = {"weights": 15, "whole runs": 2, "image files": 300}
FIRST = 10_000
SECONDS = 120


@pytest.mark.slow(seconds=9)
@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_damaged_inputs_are_read_or_refused(target):
    ends = []

    def hang(*_):
        raise TimeoutError(f"no end after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, hang)
    try:
        for number in range(FIRST, FIRST + CASES.get(target.name, 100)):
            signal.alarm(SECONDS)
            outcome = fuzz.attempt(target, number)
            assert outcome.end != "failed", f"case {number}: {outcome.message}"
            ends.append(outcome.end)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert "read" in ends  # Damage is light enough for some inputs to stay readable.
    assert "refused" in ends or target.name == "whole runs"


def test_failures_are_found(monkeypatch):
    def fails(rng, folder):
        raise KeyError("not for users")

    def leaves(rng, folder):
        raise SystemExit(3)

    target = TARGETS[0]
    assert "not for users" in fuzz.attempt(target._replace(attempt=fails), 0).message
    assert fuzz.attempt(target._replace(attempt=leaves), 0) == ("failed", "SystemExit 3")
    hungry = target._replace(attempt=lambda *_: bytearray(b"x" * (64 << 20)), memory=-1)
    monkeypatch.setattr(fuzz._State, "peak", 0)
    assert "MB of memory" in fuzz.attempt(hungry, 0).message


def test_cases_follow_from_their_number():
    one, again = (fuzz.rng_of("archives", 7).bytes(16) for _ in range(2))
    assert one == again != fuzz.rng_of("archives", 8).bytes(16)
    assert one != fuzz.rng_of("weights", 7).bytes(16)
