"""The experiment of kills: what it calls identical, and one kill of the simplest kind."""

import json
import re

import numpy as np
import pytest


def test_what_is_identical():
    import kills

    def ending():
        result = {"test_accuracy": 0.5, "wall_seconds": 3.0, "members": [{"wall_seconds": 1.0}]}
        return {"x": np.zeros(3, np.float32), "result": kills.without_times(result), "rows": b"1"}

    assert ending()["result"] == {"test_accuracy": 0.5, "members": [{}]}
    assert kills.differences(ending(), ending()) == []
    for name, other in {
        "x": np.array([0, 0, -0.0], np.float32),
        "result": {"test_accuracy": 0.25},
        "rows": b"2",
    }.items():
        assert kills.differences(ending(), ending() | {name: other}) == [name]
    assert kills.differences(ending(), {}) == ["result", "rows", "x"]


@pytest.mark.slow(seconds=30)
def test_one_kill(python, tmp_path):
    command = ("experiments/kills.py", f"--workdir={tmp_path}", "--plain=1", "--many=0", "--two=0")
    for _ in range(2):  # the second time nothing is left to do
        out = python(*command, check=True).stdout
        assert re.search(r"^all +1 +0 +\d +\d +\d +\d +1$", out, re.MULTILINE)
    (line,) = (tmp_path / "kills.jsonl").read_text().splitlines()
    assert json.loads(line)["differs"] == []
