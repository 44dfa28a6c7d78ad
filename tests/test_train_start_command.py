"""`python -m vp_jax.train_start` as users call it."""

import json
import re

import pytest

COMMAND = ("-m", "vp_jax.train_start", "--config=configs/quickstart.py")
CONSTANT = ("--config.schedule.name=constant", "--config.optimizer.momentum=0.0")


@pytest.mark.slow
def test_it_learns_tells_and_says_how_a_run_begins_with_it(python, tmp_path):
    start = tmp_path / "start"
    tasks = '["digits", {"task.name": "digits", "task.shots": 16}]'
    command = (*COMMAND, *CONSTANT, f"--tasks={tasks}", "--rounds=2", "--steps=3", "--share=0.25")
    first = python(*command, f"--workdir={start}", check=True)
    for name in ("digits 0", "digits 1"):
        assert re.search(rf"^{name} +\d\S* +\d", first.stdout, re.MULTILINE), first.stdout
    assert json.loads((start / "result.json").read_text())["share"] == 0.25
    again = python(*command, f"--workdir={start}", check=True)
    assert "this start is finished" in again.stderr and again.stdout == first.stdout
    assert first.stdout.rstrip().endswith(f"--config.start.from_run={start}")


@pytest.mark.slow(seconds=4)
def test_mistakes_are_one_sentence(python, tmp_path):
    for more, words in (
        ((), "there is no task: add --tasks=NAME,NAME"),
        (("--tasks=digits",), "give --config.schedule.name=constant"),
        (("--tasks=digits", *CONSTANT, "--share=2"), "share is 2.0; it must be in"),
    ):
        done = python(*COMMAND, *more, f"--workdir={tmp_path / 'start'}")
        assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "start").exists()
