"""`python -m vp_jax.train_many` as users call it."""

import json
import pathlib
import signal
import time

import pytest

from vp_jax.records.checkpoints.manager import Checkpoints
from vp_jax.records.metrics import read_metrics

SMALL_CLIP = pathlib.Path(__file__).parent / "runs" / "small_clip.py"
COMMAND = ("-m", "vp_jax.train_many", "--config=configs/quickstart.py")
SHORT = (
    *("--config.task.shots=8", "--config.epochs=4", "--config.schedule.warmup_steps=5"),
    "--config.checkpoint_every_steps=3",
    """--vary={"seed": [0, 1], "prompt": ["normalize | pad(2)", "normalize|pad(4, scale=0)"]}""",
)


def test_help_lists_flags_and_settings(python):
    done = python(*COMMAND[:2], "--help")
    assert done.returncode == 0
    for text in ("--vary", "prompt", "optimizer.learning_rate", "config.epochs"):
        assert text.removeprefix("config.") in done.stdout, text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (COMMAND, "nothing varies: add --vary"),
        ((*COMMAND, "--vary=seed"), "--vary has 'seed'; it must be NAME=VALUE,VALUE"),
        ((*COMMAND, '--vary={"seed": 3}'), "--vary has seed without a list of values"),
        (
            (*COMMAND, "--vary=prompt.size=2,4"),
            'prompt.size is no setting: a prompt is one text, --config.prompt="normalize | pad(2)"',
        ),
        ((*COMMAND, "--vary=epochs=1,2"), "unknown setting in which members may differ"),
        ((*COMMAND, "--vary=seed=0", "--config.tune=()"), "must have 'prompt', 'head' or both"),
    ],
)
def test_mistakes_are_one_sentence(python, tmp_path, arguments, message):
    done = python(*arguments, f"--workdir={tmp_path / 'sweep'}")
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "sweep").exists()


@pytest.mark.slow(seconds=30)
def test_terminated_and_started_again_it_ends_the_same(python, start, tmp_path):
    """SIGTERM saves; the table at the end names the best member and has the ensemble."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    command = (SMALL_CLIP, *COMMAND[1:], "--config.backbone.name=clip_small", *SHORT)
    done = python(*command, f"--workdir={whole}", check=True)
    assert "best" in done.stdout and "all 4 together" in done.stdout
    process = start(*command, f"--workdir={cut}")
    deadline = time.monotonic() + 120
    while not any((cut / "checkpoints").glob("[0-9]*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 143, err[-3000:]
    assert "stopped by SIGTERM" in out and "saved step" in err
    assert not (cut / "result.json").exists()
    done = python(*command, f"--workdir={cut}", check=True)
    assert "going on from step" in done.stderr
    times = ("images_per_second", "wall_seconds")
    results = [json.loads((folder / "result.json").read_text()) for folder in (whole, cut)]
    for result in results:
        for one in (result, *result["members"]):
            for name in times:
                del one[name]
    assert results[0] == results[1]
    for member in map(str, range(4)):
        assert read_metrics(whole / member) == read_metrics(cut / member)
        saved = []
        for folder in (whole, cut):
            checkpoints = Checkpoints(folder / member / "checkpoints")
            step = checkpoints.steps()[-1]
            saved.append({k: x.tobytes() for k, x in checkpoints.arrays(step).items()})
            checkpoints.close()
        assert saved[0] == saved[1]
    evaluated = python(SMALL_CLIP, "vp_jax.evaluate", f"--workdir={cut / '2'}", check=True)
    assert f"{100 * results[0]['members'][2]['test_accuracy']:.1f} %" in evaluated.stdout
